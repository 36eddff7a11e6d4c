"""YAML file, profile and command-line overrides -> Recipe, or one message with every mistake."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from rl.recipe.config import Recipe
from rl.recipe.mistakes import Path_, RecipeError, Source, check, is_text, is_tree, may_be_null

__all__ = ["RecipeError", "dump", "load_recipe", "make_recipe", "read_resolved", "read_value"]

TIMESTAMP = "tag:yaml.org,2002:timestamp"
NULLS = ("", "null", "~")


class _Yaml(yaml.SafeLoader):
    """PyYAML reads 2e-6 as a string; YAML 1.2 and everybody who writes recipes mean a number.

    And 2026-11-22 as a date, which no key of a recipe is: as text it can name a directory.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML wants a plain attribute of the class)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def load_recipe(path: Path, overrides: Sequence[str] = (), *, profile: str) -> Recipe:
    """Read `path`, lay the profile and the `key.path=value` overrides over it, check everything.

    Args:
        profile: name of the profile the hardware asks for; the override `profile=NAME` wins. A
            recipe without `profiles` is the same on every machine.

    Raises:
        RecipeError: file missing, not YAML, unknown key, wrong type or range, an impossible
            combination: every mistake with file and line (or override), path, value and remedy.
            Profiles that are not chosen are checked too, as they stand in the file.
    """
    source = _read(path)
    profiles = _take_profiles(source)
    rest: list[str] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override {override!r}: write it as key.path=value")
        if key == "profile":
            profile = value
            if profile not in profiles:
                known = ", ".join(profiles) or "none"
                raise RecipeError(
                    f"override {override!r}: {path} has no such profile (it has: {known})"
                )
        else:
            rest.append(override)
    if not profiles:
        return check(_override(source, rest))
    if profile not in profiles:
        raise RecipeError(
            f"{path}: this machine asks for the profile '{profile}', which the recipe does not "
            f"have; choose one with profile=NAME (it has: {', '.join(profiles)})"
        )
    recipes, mistakes = {}, []
    for name in profiles:
        whole = _overlay(source, profiles, name)
        try:
            # An override that fits the chosen profile need not fit the others.
            recipes[name] = check(_override(whole, rest) if name == profile else whole)
        except RecipeError as error:
            mistakes += str(error).splitlines()
    if mistakes:
        raise RecipeError("\n".join(dict.fromkeys(mistakes)))
    return recipes[profile]


def make_recipe(data: dict[str, Any], overrides: Sequence[str], origin: str) -> Recipe:
    """A recipe that no file holds, with `key.path=value` overrides over it.

    Args:
        origin: what mistakes in `data` are said to be in.

    Raises:
        RecipeError: as for `load_recipe`.
    """
    wrong = [x for x in overrides if not x.partition("=")[0] or "=" not in x]
    if wrong:
        raise RecipeError(f"override {wrong[0]!r}: write it as key.path=value")
    return check(_override(Source(data, {(): origin}), overrides))


def read_resolved(path: Path) -> Recipe:
    """The recipe of a run directory, as written by `dump`."""
    return check(_read(path))


def dump(recipe: Recipe) -> str:
    """The whole recipe as YAML, every default spelled out; `read_resolved` reads it back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path) -> Source:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if path.is_dir() and (path / "recipe.yaml").is_file():
            raise RecipeError(
                f"{path} is a run, not a recipe: the command that began it resumes it, and "
                f"`assay report {path}` shows it"
            ) from None
        others = {p.stem: p for p in sorted(path.parent.glob("*.y*ml")) if p != path}
        near = get_close_matches(path.stem, others, n=1)
        hint = f"; did you mean {others[near[0]]}?" if near else ""
        raise RecipeError(f"{path}: cannot read the recipe: {reason}{hint}") from None
    try:
        node = yaml.compose(text, Loader=_Yaml)
        data = yaml.load(text, Loader=_Yaml)
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    if not is_tree(data):
        raise RecipeError(f"{path}: a recipe maps keys to values; {_instead(data)}")
    source = Source(data, {(): str(path)})
    _note_lines(node, (), path, source.origin)
    return source


def _instead(data: Any) -> str:
    """What a file holds that is no recipe, in words."""
    if data is None:
        return "this file is empty"
    if isinstance(data, dict):
        return f"the key {next(key for key in data if not isinstance(key, str))!r} is not text"
    return f"this file holds a {'list' if isinstance(data, list) else 'single value'}"


def _take_profiles(source: Source) -> dict[str, Any]:
    """The profiles, which are no key of a recipe, taken out of `source`."""
    profiles = source.data.pop("profiles", None) or {}
    if not is_tree(profiles):
        raise RecipeError(f"{source.where(('profiles',))}: profiles: must map a name to keys")
    wrong = [
        f"{source.where(('profiles', name))}: profiles.{name}: must map keys to values (found "
        f"{keys!r}); write {{}} for a profile that changes nothing"
        for name, keys in profiles.items()
        if not is_tree(keys)
    ]
    if wrong:
        raise RecipeError("\n".join(wrong))
    return profiles


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


def _overlay(source: Source, profiles: dict[str, Any], name: str) -> Source:
    """The source with one profile laid over it: sections merge, everything else is replaced."""
    merged = Source(_merge(source.data, profiles[name]), dict(source.origin))
    prefix = ("profiles", name)
    for path, place in source.origin.items():
        if path[:2] == prefix and len(path) > 2:
            merged.origin[path[2:]] = place
    return merged


def _merge(base: Any, over: Any) -> Any:
    if not (is_tree(base) and is_tree(over)):
        return over
    return {key: _merge(base.get(key), over[key]) if key in over else base[key]
            for key in [*base, *(k for k in over if k not in base)]}  # fmt: skip


def _override(source: Source, overrides: Sequence[str]) -> Source:
    result = Source(_merge({}, source.data), dict(source.origin))
    for override in overrides:
        key, _, text = override.partition("=")
        keys, place = tuple(key.split(".")), f"override {override!r}"
        value = _value(text, keys, place)
        result.data = _assign(result.data, list(keys), value, place)
        # What the file says inside the replaced value is written nowhere any more.
        inside = [path for path in result.origin if path[: len(keys)] == keys]
        for path in inside:
            del result.origin[path]
        result.origin[keys] = place
    return result


def _value(text: str, keys: Path_, place: str) -> Any:
    """YAML; but where the schema wants text, that text as it stands (1e3 may be a directory)."""
    if is_text(keys) and not text.startswith(("'", '"')):
        return None if text in NULLS and may_be_null(keys) else text
    return read_value(text, place)


def read_value(text: str, place: str) -> Any:
    """A value from the command line, which is YAML as in a recipe.

    Raises:
        RecipeError: it is not; `place` says where it was written.
    """
    try:
        return yaml.load(text, Loader=_Yaml)
    except (yaml.YAMLError, ValueError):
        raise RecipeError(f"{place}: the value is not valid YAML") from None


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
