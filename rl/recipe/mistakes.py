"""A recipe's plain data -> Recipe, or every mistake in it, each where it was written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from envs.base import Env, EnvError
from envs.registry import make_env
from rl.recipe.config import Recipe
from rl.recipe.schema import Clash, Clashes
from rl.recipe.sections import EnvSpec

Path_ = tuple[str, ...]  # of keys, from the top of the recipe

# Keys that were, and what to write instead.
RENAMED: dict[Path_, str] = {
    ("algorithm", "train_truncated"): "rollout.truncated=mask for false, train for true"
}

SECTION_ERRORS = ("model_type", "model_attributes_type", "dict_type")


class RecipeError(ValueError):
    """The recipe is wrong. The message is complete: show it and leave with exit code 2."""


@dataclass
class Source:
    """Plain data, and where each key of it was written."""

    data: dict[str, Any]
    origin: dict[Path_, str] = field(default_factory=dict)

    def where(self, path: Path_) -> str:
        """The place of `path`, or of the nearest key around it that was written."""
        for length in range(len(path), 0, -1):
            if place := self.origin.get(path[:length]):
                return place
        return self.origin[()]

    def culprit(self, paths: list[Path_]) -> str:
        """Of keys that do not go together: where the override is, else the first one written."""
        places = [self.where(path) for path in paths]
        overrides = [place for place in places if place.startswith("override ")]
        written = [self.origin[path] for path in paths if path in self.origin]
        return [*overrides, *written, *places][0]


def check(source: Source) -> Recipe:
    """Raises RecipeError with a line for every mistake, those of the environments included."""
    try:
        recipe = Recipe.model_validate(source.data, strict=True)
        mistakes = []
    except ValidationError as error:
        recipe = None
        mistakes = _schema_mistakes(error, source)
    mistakes += _env_mistakes(source)
    if recipe is None or mistakes:
        raise RecipeError("\n".join(mistakes))
    return recipe


def is_tree(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def is_text(path: Path_) -> bool:
    """Whether the schema wants text at `path`, with null or without."""
    return _without_none(_annotation(path)) is str


def may_be_null(path: Path_) -> bool:
    return NoneType in get_args(_annotation(path))


def _env_mistakes(source: Source) -> Iterator[str]:
    """Looks at the data, not at a Recipe: mistakes elsewhere do not hide these."""
    sft = source.data.get("sft")
    imitates_envs = is_tree(sft) and sft.get("data") is None
    evaluation = source.data.get("evaluation")
    lists: dict[Path_, Any] = {("envs",): source.data.get("envs")}
    if is_tree(evaluation):
        lists["evaluation", "envs"] = evaluation.get("envs")
    for path, specs in lists.items():
        for index, spec in enumerate(specs if isinstance(specs, list) else []):
            if not (is_tree(spec) and isinstance(spec.get("name"), str)):
                continue  # the schema says so
            here = (*path, str(index))
            options = {key: spec[key] for key in spec if key not in EnvSpec.model_fields}
            try:
                env = make_env(spec["name"], options)
            except EnvError as error:
                for line in str(error).splitlines():
                    about = [key for key in options if re.search(rf"\b{re.escape(key)}\b", line)]
                    place = source.culprit([(*here, key) for key in about or ["name"]])
                    yield f"{place}: {'.'.join(here)}: {line}"
                continue
            if imitates_envs and path == ("envs",) and not _has_worked_solutions(env):
                yield (
                    f"{source.culprit([here, ('sft',)])}: {'.'.join(here)}: environment "
                    f"'{spec['name']}' has no worked solutions to imitate (`demonstrate`), and sft "
                    f"wants some ({source.where(('sft',))}): set sft=null, or sft.data=FILE with "
                    "JSON lines of prompt and response"
                )


def _has_worked_solutions(env: Env) -> bool:
    return type(env).demonstrate is not Env.demonstrate


def _schema_mistakes(error: ValidationError, source: Source) -> list[str]:
    """A line per wrong value; where a value may be of several types, their errors are one."""
    found: dict[tuple[Path_, str], list[ErrorDetails]] = {}
    for details in error.errors():
        path = tuple(str(part) for part in details["loc"])
        # A union adds the tried alternative to the location; it is no key of the recipe.
        while path and _section(path[:-1]) is None and path not in source.origin:
            path = path[:-1]
        found.setdefault((path, repr(details["input"])), []).append(details)
    return [line for (path, _), each in found.items() for line in _explain(path, each, source)]


def _explain(path: Path_, errors: list[ErrorDetails], source: Source) -> list[str]:
    first = errors[0]
    error = first.get("ctx", {}).get("error")
    clashes = error.found if isinstance(error, Clashes) else [error]
    together = [clash for clash in clashes if isinstance(clash, Clash)]
    if together:
        return [
            f"{source.culprit([(*path, *key.split('.')) for key in clash.keys])}: {clash}"
            for clash in together
        ]
    return [f"{source.where(path)}: {'.'.join(path)}: {_sentence(path, errors, first)}"]


def _sentence(path: Path_, errors: list[ErrorDetails], first: ErrorDetails) -> str:
    found = f"(found {first['input']!r})"
    if path in RENAMED:
        return f"this key is gone; write {RENAMED[path]} {found}"
    if first["type"] == "extra_forbidden":
        section = _section(path[:-1])
        known = sorted(section.model_fields) if section else []
        near = get_close_matches(path[-1], known, n=1)
        if near:
            return f"unknown key; did you mean '{'.'.join([*path[:-1], near[0]])}'?"
        return f"unknown key; allowed here: {', '.join(known)}"
    if first["type"] == "missing":
        return "this key is required"
    if first["type"] in SECTION_ERRORS:
        hint = "; did you mean algorithm.preset?" if path == ("algorithm",) else ""
        return f"must be a section, of keys and their values {found}{hint}"
    if first["type"] == "too_short":
        return f"too short, at least {first.get('ctx', {}).get('min_length')} wanted {found}"
    reasons = list(dict.fromkeys(each["msg"] for each in errors))
    more = [reason.removeprefix("Input should be ") for reason in reasons[1:]]
    text = " or ".join([reasons[0], *more])
    return f"{text[0].lower()}{text[1:]} {found}"


def _annotation(path: Path_) -> Any:
    """What the schema has at `path`; None where it has nothing."""
    at: Any = Recipe
    for part in path:
        at = _without_none(at)
        if _is_model(at) and part in at.model_fields:
            at = at.model_fields[part].annotation
        elif get_origin(at) is list and part.isdigit():
            at = get_args(at)[0]
        else:
            return None
    return at


def _section(path: Path_) -> type[BaseModel] | None:
    """The schema at `path`, or None where the recipe has no section."""
    at = _without_none(_annotation(path))
    return at if _is_model(at) else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, UnionType):
        return next(arm for arm in get_args(annotation) if arm is not NoneType)
    return annotation
