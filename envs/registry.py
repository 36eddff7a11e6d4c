"""From a name and options in a recipe to an environment; and judging in a process of its own.

job -> judge, recheck    what verifiers/pool.py sends to a worker and runs there: JSON in, Verdict
out
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from envs import BENCHMARKS, ENVS
from envs.base import Env, EnvError, Message, Task
from verifiers.entry import load
from verifiers.verdict import Verdict

__all__ = ["EnvError", "job", "judge", "make_env", "prepare", "recheck"]

GROUP = "assay.envs"  # of entry points: name = "module:Class"
OURS = {**ENVS, **BENCHMARKS}


def make_env(name: str, options: Mapping[str, Any]) -> Env:
    """The environment of a name: one in envs/__init__.py, one that an installed package has among
    its entry points of the group `assay.envs`, or `path/to/file.py:ClassName`.

    Raises:
        EnvError: unknown name, a file or class that cannot be imported, an unknown or missing
            option, a value of a wrong type or out of range: all mistakes that can be seen at once.
    """
    env_class = find_class(name)
    values, mistakes = check_options(env_class, options)
    if mistakes:
        raise EnvError("\n".join(f"environment '{name}': {mistake}" for mistake in mistakes))
    try:
        return env_class(**values)
    except ValueError as error:
        raise EnvError(f"environment '{name}': {error}") from error


def find_class(name: str) -> type[Env]:
    """Raises EnvError when there is no environment of that name."""
    # Our own come first, and without looking through all packages.
    known = OURS if name in OURS or ":" in name else {**installed(), **OURS}
    if name not in known and ":" not in name:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(known))}"
        raise EnvError(
            f"unknown environment '{name}': {hint} "
            "(one of your own is named 'path/to/file.py:ClassName')"
        )
    try:
        found = load(known.get(name, name))
    except Exception as error:  # a user's file may raise anything
        raise EnvError(
            f"environment '{name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Env) and is_dataclass(found)):
        raise EnvError(f"environment '{name}' is not a dataclass derived from envs.base.Env")
    return found


def installed() -> dict[str, str]:
    """Name -> `module:Class` of the environments that installed packages bring along.

    Raises:
        EnvError: two have the same name, so that a recipe could mean either.
    """
    found: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point.value)
        if other != point.value:
            raise EnvError(
                f"two installed packages have an environment '{point.name}' ({other} and "
                f"{point.value}): uninstall one of them, or give it another name in its entry "
                f"points of the group '{GROUP}'"
            )
    return found


def check_options(
    env_class: type[Env], options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The options as the fields' types want them, and a sentence per mistake."""
    known: dict[str, Field[Any]] = {f.name: f for f in fields(env_class) if f.init}  # pyright: ignore
    hints = get_type_hints(env_class, include_extras=True)
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for key, value in options.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            allowed = f"it has {', '.join(known)}" if known else "it has none"
            hint = f"did you mean '{near[0]}'?" if near else allowed
            mistakes.append(f"unknown option '{key}': {hint}")
            continue
        try:
            # As JSON, where a list may stand for a tuple; otherwise strict: no "3" for 3.
            values[key] = TypeAdapter(hints[key]).validate_json(json.dumps(value), strict=True)
        except TypeError:
            mistakes.append(f"option '{key}': {value!r} is not plain data")
        except ValidationError as error:
            reasons = "; ".join(dict.fromkeys(e["msg"] for e in error.errors()))
            mistakes.append(f"option '{key}': {reasons} (found {value!r})")
    for key, field in known.items():
        if key not in options and field.default is MISSING and field.default_factory is MISSING:
            mistakes.append(f"option '{key}' is required")
    return values, mistakes


def job(name: str, options: Mapping[str, Any], task: Task, response: str) -> dict[str, Any]:
    """What `judge` needs, as plain data."""
    return {
        "env": name,
        "options": dict(options),
        "prompt": task.prompt if isinstance(task.prompt, str) else [asdict(m) for m in task.prompt],
        "truth": task.truth,
        "response": response,
    }


def judge(job: dict[str, Any]) -> Verdict:
    """Judge one response; runs in a verifier worker. Raises whatever the environment raises."""
    return _env_of(job).verify(task_of(job), job["response"])


def recheck(job: dict[str, Any]) -> Verdict:
    """Judge a response that was accepted by the environment's stricter rules."""
    return _env_of(job).recheck(task_of(job), job["response"])


def _env_of(job: dict[str, Any]) -> Env:
    return _environment(job["env"], json.dumps(job["options"], sort_keys=True))


def task_of(job: dict[str, Any]) -> Task:
    """The task that `job` wrote down."""
    prompt = job["prompt"]
    if not isinstance(prompt, str):
        prompt = tuple(Message(**message) for message in prompt)
    return Task(prompt, job["truth"])


def prepare(env: dict[str, Any]) -> None:
    """Make a worker ready for the jobs of an environment, {"name": ..., "options": ...}."""
    _environment(env["name"], json.dumps(env["options"], sort_keys=True)).prepare()


@lru_cache(maxsize=64)
def _environment(name: str, options: str) -> Env:
    return make_env(name, json.loads(options))
