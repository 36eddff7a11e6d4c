"""Which environments the attack suite has admitted: records in the cache, found by content.

A record counts for the environment as it was attacked: the files it is made of, the releases of
packages it imports, its options and what files and folders they name, what its programs run in,
the verifiers, the suite, Python and sympy. These make the record's name. Inside it stand the other
files that the environment opened (envs/opened.py). Change any of them and it is attacked again.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from hashlib import file_digest, sha256
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from envs.base import Env
from envs.registry import find_class, make_env
from envs.sources import ROOT, find_sources
from verifiers.attack import VERSION
from verifiers.attack.report import Report, table, upper_bound

SUITE = ("base", "registry", "attack", "sources", "opened", "admission")  # files of envs/


@dataclass(frozen=True, slots=True)
class Admission:
    """What the attack suite found out about one environment with certain options."""

    admitted: bool
    summary: str  # one line
    table: str  # the whole report, for a person
    opened: dict[str, str] = field(default_factory=dict)  # path -> digest, as of the attack


def find_admission(name: str, options: Mapping[str, Any]) -> Admission | None:
    """The record of this environment as it is now; None: it was not attacked since it changed.

    Raises:
        EnvError: there is no such environment, or nothing as strong as it asks for to run programs
            in.
    """
    path = record_path(name, options)
    try:
        found = Admission(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # none, or one that an older version wrote: the attack is repeated
    unchanged = digests(Path(file) for file in found.opened) == found.opened
    return found if unchanged else None


def digests(files: Iterable[Path]) -> dict[str, str]:
    """Path and digest of the content, of those files that exist."""
    return {str(file): _digest(file) for file in files if file.is_file()}


def store_admission(report: Report, opened: Mapping[str, str] | None = None) -> Path:
    """Write the record of an attack, which replaces an earlier one.

    Args:
        opened: digests of the files that the environment opens, taken before it was attacked.
    """
    path = record_path(report.env, report.options)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = Admission(report.admitted, summary(report), table(report), dict(opened or {}))
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
    env_class, env = find_class(name), make_env(name, options)
    isolation = env.isolation()
    sources = find_sources(env_class)
    suite = [ROOT / "envs" / f"{name}.py" for name in SUITE]
    parts = {
        "class": env_class.__qualname__,
        "options": options,
        "suite": VERSION,
        "files": [_digest(file) for file in sources.files],
        "packages": [_releases(package) for package in sources.packages],
        "verifiers": [_digest(file) for file in (*suite, *sorted(ROOT.glob("verifiers/**/*.py")))],
        "isolation": isolation and isolation.strength,
        "data": list(_data(env)),
        "python": list(sys.version_info[:3]),
        "sympy": version("sympy"),
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


@cache
def _releases(package: str) -> list[list[str]]:
    """Name and version of what was installed for a top-level package."""
    names = sorted(set(_distributions().get(package, ())))
    return [[name, version(name)] for name in names]


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Asked once in a process: all installed packages are looked through."""
    return packages_distributions()


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _data(env: Env) -> Iterator[list[Any]]:
    """The files and folders that options name, given or by default: their content is the
    environment's too."""
    for option in fields(env):  # pyright: ignore[reportArgumentType]  (a dataclass by contract)
        for text in filter(None, _texts(getattr(env, option.name))):
            named = os.path.expanduser(text)
            if os.path.isfile(named):  # as os.path has it: what cannot be a path is none
                yield [Path(named).name, _digest(Path(named))]
            elif os.path.isdir(named):
                files = sorted(file for file in Path(named).rglob("*") if file.is_file())
                yield from ([str(file.relative_to(named)), _digest(file)] for file in files)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value, however deep in lists and tables they stand."""
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from (text for each in value.items() for item in each for text in _texts(item))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for item in value for text in _texts(item))
