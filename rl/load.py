"""YAML file, profile and command-line overrides -> Recipe, or one message with every mistake."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from envs.registry import EnvError, make_env
from rl.config import EnvSpec, Recipe

Path_ = tuple[str, ...]  # of keys, from the top of the recipe


class RecipeError(ValueError):
    """The recipe is wrong. The message is complete: show it and leave with exit code 2."""


class _Yaml(yaml.SafeLoader):
    """PyYAML reads 2e-6 as a string; YAML 1.2 and everybody who writes recipes mean a number."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


@dataclass
class _Source:
    """Plain data, and where each key of it was written."""

    data: dict[str, Any]
    origin: dict[Path_, str] = field(default_factory=dict)

    def where(self, path: Path_) -> str:
        """The place of `path`, or of the nearest key around or inside it that was written."""
        for length in range(len(path), 0, -1):
            if place := self.origin.get(path[:length]):
                return place
        return self.origin[()]


def load_recipe(path: Path, overrides: Sequence[str] = (), *, profile: str) -> Recipe:
    """Read `path`, lay the profile and the `key.path=value` overrides over it, check everything.

    Args:
        profile: name of the profile the hardware asks for; the override `profile=NAME` wins. A
            recipe without `profiles` is the same on every machine.

    Raises:
        RecipeError: file missing, not YAML, unknown key, wrong type or range, an impossible
            combination: every mistake with file and line (or override), path, value and remedy.
            Profiles that are not chosen are checked too.
    """
    source = _read(path)
    profiles = source.data.pop("profiles", None)
    if profiles is not None and not _is_tree(profiles):
        raise RecipeError(f"{source.where(('profiles',))}: profiles: must map a name to keys")
    rest: list[str] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override {override!r}: write it as key.path=value")
        if key == "profile":
            profile = value
            if profile not in (profiles or {}):
                known = ", ".join(profiles or {}) or "none"
                raise RecipeError(
                    f"override {override!r}: {path} has no such profile (it has: {known})"
                )
        else:
            rest.append(override)
    if not profiles:
        return _check(_override(source, rest))
    if profile not in profiles:
        raise RecipeError(
            f"{path}: this machine asks for the profile '{profile}', which the recipe does not "
            f"have; choose one with profile=NAME (it has: {', '.join(profiles)})"
        )
    recipes, mistakes = {}, []
    for name in profiles:
        try:
            recipes[name] = _check(_override(_overlay(source, profiles, name), rest))
        except RecipeError as error:
            # An override that fits the chosen profile need not fit the others.
            lines = str(error).splitlines()
            mistakes += [x for x in lines if name == profile or not x.startswith("override")]
    if mistakes:
        raise RecipeError("\n".join(dict.fromkeys(mistakes)))
    return recipes[profile]


def read_resolved(path: Path) -> Recipe:
    """The recipe of a run directory, as written by `dump`."""
    return _check(_read(path))


def dump(recipe: Recipe) -> str:
    """The whole recipe as YAML, every default spelled out; `read_resolved` reads it back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path) -> _Source:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise RecipeError(f"{path}: cannot read the recipe: {reason}{hint}") from None
    try:
        node = yaml.compose(text, Loader=_Yaml)
        data = yaml.load(text, Loader=_Yaml)
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    if not _is_tree(data):
        raise RecipeError(f"{path}: a recipe maps keys to values; this file holds {type(data)}")
    source = _Source(data, {(): str(path)})
    _note_lines(node, (), path, source.origin)
    return source


def _note_lines(node: yaml.Node | None, at: Path_, path: Path, origin: dict[Path_, str]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here, place = (*at, str(key.value)), f"{path}:{key.start_mark.line + 1}"
            if here in origin:
                raise RecipeError(f"{place}: {'.'.join(here)}: already set at {origin[here]}")
            origin[here] = place
            _note_lines(value, here, path, origin)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            origin[(*at, str(index))] = f"{path}:{value.start_mark.line + 1}"
            _note_lines(value, (*at, str(index)), path, origin)


def _overlay(source: _Source, profiles: dict[str, Any], name: str) -> _Source:
    """The source with one profile laid over it: sections merge, everything else is replaced."""
    merged = _Source(_merge(source.data, profiles[name]), dict(source.origin))
    prefix = ("profiles", name)
    for path, place in source.origin.items():
        if path[:2] == prefix and len(path) > 2:
            merged.origin[path[2:]] = place
    return merged


def _merge(base: Any, over: Any) -> Any:
    if not (_is_tree(base) and _is_tree(over)):
        return over
    return {key: _merge(base.get(key), over[key]) if key in over else base[key]
            for key in [*base, *(k for k in over if k not in base)]}  # fmt: skip


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _override(source: _Source, overrides: Sequence[str]) -> _Source:
    result = _Source(_merge({}, source.data), dict(source.origin))
    for override in overrides:
        key, _, text = override.partition("=")
        keys = key.split(".")
        try:
            value = yaml.load(text, Loader=_Yaml)
        except yaml.YAMLError:
            raise RecipeError(f"override {override!r}: the value is not valid YAML") from None
        result.data = _assign(result.data, keys, value, f"override {override!r}")
        result.origin[tuple(keys)] = f"override {override!r}"
    return result


def _assign(data: Any, keys: list[str], value: Any, place: str) -> Any:
    """A copy of `data` with the value at `keys` replaced; list items are named by their index."""
    if not keys:
        return value
    first, rest = keys[0], keys[1:]
    if isinstance(data, list):
        if not first.isdigit() or int(first) >= len(data):
            raise RecipeError(f"{place}: '{first}' is no index of a list of {len(data)}")
        index = int(first)
        return [*data[:index], _assign(data[index], rest, value, place), *data[index + 1 :]]
    if data is not None and not isinstance(data, dict):
        raise RecipeError(f"{place}: '{first}' lies inside {data!r}, which is not a section")
    data = data or {}
    return {**data, first: _assign(data.get(first), rest, value, place)}


def _check(source: _Source) -> Recipe:
    mistakes: list[str] = []
    try:
        recipe = Recipe.model_validate(source.data, strict=True)
    except ValidationError as error:
        mistakes = [_explain(e, source) for e in error.errors()]
        raise RecipeError("\n".join(mistakes)) from None
    lists: list[tuple[Path_, list[EnvSpec]]] = [
        (("envs",), recipe.envs),
        (("evaluation", "envs"), recipe.evaluation.envs or []),
    ]
    for path, specs in lists:
        for index, spec in enumerate(specs):
            here = (*path, str(index))
            try:
                make_env(spec.name, spec.options)
            except EnvError as error:
                mistakes += [
                    f"{source.where(here)}: {'.'.join(here)}: {x}" for x in str(error).splitlines()
                ]
    if mistakes:
        raise RecipeError("\n".join(mistakes))
    return recipe


def _explain(error: ErrorDetails, source: _Source) -> str:
    # A union adds the tried alternative to the location; it is no key of the recipe.
    loc = tuple(str(part) for part in error["loc"])
    while loc and _section(loc[:-1]) is None and loc not in source.origin:
        loc = loc[:-1]
    place, path = source.where(loc), ".".join(loc) or "recipe"
    if error["type"] == "extra_forbidden":
        section = _section(loc[:-1])
        known = sorted(section.model_fields) if section else []
        near = get_close_matches(loc[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"allowed here: {', '.join(known)}"
        return f"{place}: {path}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{place}: {path}: this key is required"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "value_error" else f" (found {error['input']!r})"
    return f"{place}: {path}: {message[0].lower()}{message[1:]}{found}"


def _section(path: Path_) -> type[BaseModel] | None:
    """The schema at `path`, or None where the recipe has no section."""
    at: Any = Recipe
    for part in path:
        if _is_model(at) and part in at.model_fields:
            at = _without_none(at.model_fields[part].annotation)
        elif get_origin(at) is list and part.isdigit():
            at = _without_none(get_args(at)[0])
        else:
            return None
    return at if _is_model(at) else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, UnionType):
        return next(arm for arm in get_args(annotation) if arm is not NoneType)
    return annotation
