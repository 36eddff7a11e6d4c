"""Which environments the attack suite has admitted: records in the cache, found by content.

A record counts for the environment as it was attacked: the files it is made of, its options and
data, what its programs run in, the verifiers, the suite, Python and sympy. Change any of them and
it is attacked again.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from envs.registry import find_class, make_env
from envs.sources import ROOT, source_files
from verifiers.attack import VERSION
from verifiers.attack.report import Report, table, upper_bound

SUITE = ("envs/base.py", "envs/registry.py", "envs/attack.py", "envs/sources.py")


@dataclass(frozen=True, slots=True)
class Admission:
    """What the attack suite found out about one environment with certain options."""

    admitted: bool
    summary: str  # one line
    table: str  # the whole report, for a person


def find_admission(name: str, options: Mapping[str, Any]) -> Admission | None:
    """The record of this environment as it is now; None: it was not attacked since it changed.

    Raises:
        EnvError: there is no such environment, or nothing as strong as it asks for to run programs
            in.
    """
    path = record_path(name, options)
    try:
        return Admission(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # none, or one that an older version wrote: the attack is repeated


def store_admission(report: Report) -> Path:
    """Write the record of an attack, which replaces an earlier one."""
    path = record_path(report.env, report.options)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = Admission(report.admitted, summary(report), table(report))
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    scratch.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
    scratch.replace(path)
    return path


def summary(report: Report) -> str:
    accepted, tried = report.false_accepts
    refused, honest = report.false_rejects
    verdict = "admitted" if report.admitted else f"NOT admitted ({'; '.join(report.reasons)})"
    return (
        f"{verdict}: accepted {accepted} of {tried:,} attacks (below "
        f"{upper_bound(accepted, tried):.2%}), refused {refused} of {honest:,} right answers"
    )


def record_path(name: str, options: Mapping[str, Any]) -> Path:
    root = os.environ.get("ASSAY_CACHE") or "~/.cache/assay"
    return Path(root).expanduser() / "admissions" / f"{fingerprint(name, options)}.json"


def fingerprint(name: str, options: Mapping[str, Any]) -> str:
    """Hex digest of everything that decides how an environment judges."""
    env_class = find_class(name)
    isolation = make_env(name, options).isolation()
    suite = [ROOT / file for file in SUITE]
    parts = {
        "class": env_class.__qualname__,
        "options": options,
        "suite": VERSION,
        "files": [_digest(file) for file in source_files(env_class)],
        "verifiers": [_digest(file) for file in (*suite, *sorted(ROOT.glob("verifiers/**/*.py")))],
        "isolation": isolation and isolation.strength,
        "data": list(_data(options)),
        "python": list(sys.version_info[:3]),
        "sympy": version("sympy"),
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _data(options: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The files that options name: their content is the environment's too."""
    for value in options.values():
        if not isinstance(value, str) or len(value) > 1000 or "\0" in value:
            continue
        path = Path(value).expanduser()
        files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
        yield from ([file.name, _digest(file)] for file in files if file.is_file())
