"""The texts that a program's source holds, whole or in pieces, found without running it."""

import ast
from collections.abc import Iterator, Mapping


def constant_texts(tree: ast.Module) -> Iterator[str]:
    """Every constant text of a module, those put together from constants first."""
    names = _named(tree)
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.JoinedStr)]
    for node in (*joined, *whole):
        text = _text_of(node, names)
        if text is not None:
            yield text


def _named(tree: ast.Module) -> dict[str, str]:
    """The texts that names stand for; of several for one name, the last in the source."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            text = _text_of(node.value, names)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {x.id: text for x in targets if isinstance(x, ast.Name) and text is not None}
    return names


def _text_of(node: ast.AST, names: Mapping[str, str]) -> str | None:
    """The text that an expression of constants, names, `+` and f-strings is; None: it is none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(attr=name):  # self.WORD, Class.WORD
            return names.get(name)
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return _text_of(value, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [_text_of(left, names), _text_of(right, names)]
        case ast.JoinedStr(values=values):
            parts = [_text_of(value, names) for value in values]
        case _:
            return None
    known = [part for part in parts if part is not None]
    return "".join(known) if len(known) == len(parts) else None
