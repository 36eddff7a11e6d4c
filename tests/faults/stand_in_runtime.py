"""`podman run` by way of bubblewrap: enough of a container runtime for a machine without one.

Called with a folder of its own, where it keeps the image and a list of all calls, and the words of
the call.
"""

import json
import os
import sys
from pathlib import Path

from verifiers.sandbox_command import find_bubblewrap

ALONE = {"--rm", "--read-only"}  # options without a value


def main(folder: Path, words: list[str]) -> int:
    image = folder / "image"
    with (folder / "calls").open("a") as file:
        file.write(json.dumps(words) + "\n")
    match words:
        case ["image", "inspect", _]:
            return 0 if image.exists() else 1
        case ["import", "-", _]:
            return 0 if image.write_bytes(sys.stdin.buffer.read()) else 1
        case ["run", *options]:
            run(options)
    return 1


def run(words: list[str]) -> None:
    bubblewrap = find_bubblewrap() or "bwrap"
    command = [bubblewrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent"]
    command += ["--dev", "/dev", "--proc", "/proc", "--clearenv"]
    entry = ""
    while words[0].startswith("-"):
        option = words.pop(0)
        value = "" if option in ALONE else words.pop(0)
        if option == "--mount":
            fields = {k: x for k, _, x in (part.partition("=") for part in value.split(","))}
            how = "--ro-bind" if "readonly" in fields else "--bind"
            command += [how, fields["src"], fields["dst"]]
        elif option == "--env":
            command += ["--setenv", *value.split("=", 1)]
        elif option == "--entrypoint":
            entry = value
    os.execv(bubblewrap, [*command, "--remount-ro", "/", "--", entry, *words[1:]])


sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
