"""Every key of a recipe, as a page: `python -m rl.recipe.keys > docs/recipes.md`."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rl.recipe.config import Recipe

FIRST = "The recipe"  # title of the keys that are in no section
HEAD = """\
# Every key of a recipe

A recipe is YAML. Keys that do not exist, values of a wrong type and values out of range are refused
with the line they stand in and the nearest valid key. On the command line, `key.path=value` changes
any of them; list items go by their index, as in `envs.0.digits=4`.

`profiles:` maps names to keys that are laid over the rest: `cpu` or `gpu` is taken by what the
machine has, `profile=NAME` overrides. The size of a step is two numbers, `groups_per_step` and
`group_size`; every other batch size follows from token budgets and is shown by `--dry-run`.

(This page is made from `rl/recipe/config.py` and the sections that it imports by
`python -m rl.recipe.keys > docs/recipes.md`.)
"""


def page() -> str:
    found = list(sections(Recipe, ""))
    titles = [path or FIRST for path, _ in found]
    contents = [f"[{title}](#{title.lower().replace(' ', '-')})" for title in titles]
    tables = [HEAD, f"Sections: {', '.join(contents)}.\n"]
    for path, section in found:
        summary = " ".join((section.__doc__ or "").split()) if path else ""
        tables += [f"## {path or FIRST}\n"] + ([summary + "\n"] if summary else [])
        tables += ["| key | default | what it means |", "|---|---|---|"]
        prefix = f"{path}." if path else ""
        tables += [_row(prefix + name, field) for name, field in section.model_fields.items()]
        tables.append("")
    return "\n".join(tables)


def sections(section: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None and path == "":
            yield from sections(inner, name)


def _section(annotation: Any) -> type[BaseModel] | None:
    arms = get_args(annotation) or (annotation,)
    return next((a for a in arms if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split()) or "?"
    if field.is_required():
        default = "required"
    elif isinstance(field.default, BaseModel):
        default = f"[section](#{name})"
    else:
        default = f"`{field.default}`"
    return f"| `{name}` | {default} | {meaning}{_allowed(field)} |".replace("None", "null")


def _allowed(field: FieldInfo) -> str:
    annotation = field.annotation
    choices = get_args(annotation)
    if choices and all(isinstance(c, str) for c in choices):
        return f" One of {', '.join(f'`{c}`' for c in choices)}."
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "a multiple of"}
    bounds = [
        f"{sign} {getattr(m, key)}"
        for m in field.metadata
        for key, sign in signs.items()
        if not isinstance(annotation, UnionType) and getattr(m, key, None) is not None
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


if __name__ == "__main__":
    print(page(), end="")
