"""Prints what pip is told about package sources in the form uv takes, one item per line.

uv ignores pip's settings (environment and configuration files), and a machine behind a mirror, a
proxy or a company certificate usually has nothing else. Lines that start with `--` are options
for uv, the others NAME=VALUE for its environment. Reads `pip config list` on standard input.
"""

import ast
import os
import sys

OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
ENVIRONMENT = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
# Weakest first: what `pip install` itself would obey.
SECTIONS = ("global", "install", ":env:")


def read(listing: str) -> dict[str, str]:
    """The value in force for each setting, from lines such as `global.cert='/a/b.pem'`."""
    rows = [line.partition("=") for line in listing.splitlines() if "=" in line]
    values = {key.strip(): ast.literal_eval(value) for key, _, value in rows}
    return {
        key.removeprefix(section + "."): value
        for section in SECTIONS
        for key, value in values.items()
        if key.startswith(section + ".")
    }


def translate(settings: dict[str, str], environment: dict[str, str]) -> list[str]:
    """uv's options and variables; a variable that the user has set already stays as it is."""
    lines = [
        f"{option}={value}"
        for name, option in OPTIONS.items()
        for value in settings.get(name, "").split()
    ]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        lines.append("--no-index")
    if "extra-index-url" in settings:
        # As pip does it: look in all of them. The hashes in the lock decide what is taken.
        lines.append("--index-strategy=unsafe-best-match")
    names = {ENVIRONMENT[key]: settings[key] for key in ENVIRONMENT if key in settings}
    return lines + [f"{key}={value}" for key, value in names.items() if key not in environment]


if __name__ == "__main__":
    print("\n".join(translate(read(sys.stdin.read()), dict(os.environ))))
