"""The parts of an answer that stand alone: numbers, letters, brackets, sets, matrices, commands."""

import re
from abc import abstractmethod
from fractions import Fraction
from typing import Any

from verifiers.cursor import Cursor
from verifiers.tokens import NotMathematics
from verifiers.vocabulary import ACCENTS, BIG, DOTS, FUNCTIONS, GREEK, INVERSE

Node = tuple[Any, ...]


class Atoms(Cursor):
    """Reads one part; what is inside it is left to the levels of precedence in latex.Reader."""

    _in_bars = 0  # depth of |...|, in which a bar closes

    @abstractmethod
    def _items(self) -> list[Node]: ...

    @abstractmethod
    def _relation(self) -> Node: ...

    @abstractmethod
    def _sum(self) -> Node: ...

    @abstractmethod
    def _product(self) -> Node: ...

    @abstractmethod
    def _power(self) -> Node: ...

    @abstractmethod
    def _starts_factor(self) -> bool: ...

    @abstractmethod
    def _beside(self, left: Node, right: Node) -> Node: ...

    def _argument(self) -> Node:
        """What follows a `^`, `_` or a command: a group in braces, or a single character."""
        if self._is("{"):
            return self._group("{", "}")
        if self._next.kind == "digit":
            return ("num", Fraction(int(self._take().value)))
        if self._is("-") or self._is("+"):
            raise NotMathematics("a sign where a group in braces should be")
        if self._is("circ"):
            self._take()
            return ("sym", "circ")
        return self._atom()

    def _group(self, opening: str, closing: str) -> Node:
        self._expect(opening)
        self._enter()
        if self._is("circ"):
            self._take()
            node: Node = ("sym", "circ")
        else:
            bars, self._in_bars = self._in_bars, 0
            node = self._relation()
            self._in_bars = bars
        self._expect(closing)
        self._depth -= 1
        return node

    def _atom(self) -> Node:
        self._enter()
        self._count_term()
        token = self._next
        if token.kind == "digit" or (token.kind == "mark" and token.value == "."):
            node = self._number()
        elif token.kind == "letter":
            node = self._letter()
        elif token.kind == "command":
            node = self._command(self._take().value)
        elif token.kind == "text":
            node = ("text", self._take().value)
        elif self._is("(", "["):
            node = self._bracket()
        elif self._is("{"):
            node = self._group("{", "}")
        elif self._accept(r"\{"):
            node = self._set()
        elif self._accept("|"):
            node = self._bars("|")
        else:
            raise NotMathematics(f"'{token.value or 'its end'}' comes where a term should be")
        self._depth -= 1
        return node

    def _number(self) -> Node:
        digits = ""
        while self._next.kind == "digit" or self._is("."):
            if digits and not self._next.glued:
                break
            digits += self._take().value
        if self._is("overline") and "." in digits:
            self._take()
            return self._repeating(digits)
        if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", digits):
            raise NotMathematics(f"'{digits}' is no number")
        if self._next.kind == "digit":
            raise NotMathematics("two numbers side by side")
        return ("num", Fraction(digits))

    def _repeating(self, digits: str) -> Node:
        self._expect("{")
        period = ""
        while self._next.kind == "digit":
            period += self._take().value
        self._expect("}")
        if not re.fullmatch(r"[0-9]*\.[0-9]*", digits) or not period:
            raise NotMathematics("no repeating decimal")
        places = len(digits.partition(".")[2])
        start = Fraction(digits + "0" if digits != "." else "0")
        return ("num", start + Fraction(int(period), (10 ** len(period) - 1) * 10**places))

    def _letter(self) -> Node:
        name = self._take().value
        if name in ("e", "i") and not self._is("_"):
            return ("const", name)
        return self._symbol(name)

    def _symbol(self, name: str) -> Node:
        if self._accept("_"):
            start = self._at
            self._argument()
            index = "".join(t.value for t in self._tokens[start : self._at] if t.value not in "{}")
            name = f"{name}_{index}"
        return ("sym", name)

    def _bracket(self) -> Node:
        opening = self._take().value
        self._enter()
        bars, self._in_bars = self._in_bars, 0
        items = self._items()
        self._in_bars = bars
        self._depth -= 1
        closing = self._next.value
        if not self._accept(")", "]"):
            raise NotMathematics(f"'{opening}' is not closed")
        if len(items) == 1 and (opening + closing == "()" or items[0][0] == "matrix"):
            return items[0]
        return ("bracket", opening, tuple(items), closing)

    def _set(self) -> Node:
        if self._accept(r"\}"):
            return ("set", ())
        self._enter()
        items = self._items()
        self._depth -= 1
        self._expect(r"\}")
        return ("set", tuple(items))

    def _bars(self, closing: str) -> Node:
        self._in_bars += 1
        inside = self._sum()
        self._in_bars -= 1
        self._expect(closing)
        return ("abs", inside)

    def _command(self, name: str) -> Node:
        if name in FUNCTIONS:
            return self._function(name)
        if name in GREEK:
            return self._symbol(name)
        if name in BIG:
            return self._big(name)
        if name in DOTS:
            return ("dots",)
        if name in ACCENTS:
            start = self._at
            self._argument()
            letters = "".join(
                t.value for t in self._tokens[start : self._at] if t.value not in "{}"
            )
            return self._symbol(f"{name} {letters}")
        match name:
            case "pi":
                return ("const", "pi")
            case "frac" | "dfrac" | "tfrac" | "cfrac":
                return ("div", self._argument(), self._argument())
            case "binom" | "dbinom" | "tbinom":
                return ("binom", self._argument(), self._argument())
            case "sqrt":
                degree: Node = ("num", Fraction(2))
                if self._accept("["):
                    degree = self._sum()
                    self._expect("]")
                return ("root", self._argument(), degree)
            case "angle" | "triangle":
                letters = ""
                while self._next.kind == "letter":
                    letters += self._take().value
                return ("sym", f"{name} {letters}")
            case "lfloor" | "lceil":
                inside = self._sum()
                self._expect("r" + name[1:])
                return ("fn", "floor" if name == "lfloor" else "ceiling", inside)
            case "emptyset" | "varnothing":
                return ("set", ())
            case "lvert":
                return self._bars("rvert")
            case (
                "begin pmatrix"
                | "begin bmatrix"
                | "begin Bmatrix"
                | "begin vmatrix"
                | "begin matrix"
                | "begin smallmatrix"
                | "begin array"
            ):
                return self._matrix(name.removeprefix("begin "))
        raise NotMathematics(f"'\\{name}' is not understood")

    def _function(self, name: str) -> Node:
        base = exponent = None
        if name == "log" and self._accept("_"):
            base = self._argument()
        if self._accept("^"):
            exponent = self._argument()
        if exponent == ("neg", ("num", Fraction(1))) and name in INVERSE:
            name, exponent = INVERSE[name], None
        inside = self._function_argument()
        node: Node = ("fn", name, inside) if base is None else ("log", base, inside)
        return node if exponent is None else ("pow", node, exponent)

    def _big(self, name: str) -> Node:
        """A sum, integral, limit and the like, for comparing it as it is written."""
        bounds: dict[str, Node] = {"_": (), "^": ()}
        while self._is("_", "^"):
            bounds[self._take().value] = self._argument()
        return ("big", name, bounds["_"], bounds["^"], self._relation_side())

    def _relation_side(self) -> Node:
        self._enter()
        node = self._product()
        self._depth -= 1
        return node

    def _function_argument(self) -> Node:
        r"""One bracket or group, or the terms side by side up to the next function: `2\pi x`."""
        if self._is("(", "{", "|", "lvert"):
            return self._power()
        node = self._power()
        while self._starts_factor() and not self._is("(", "{", "|", *FUNCTIONS):
            node = self._beside(node, self._power())
        return node

    def _matrix(self, kind: str) -> Node:
        if kind == "array" and self._accept("{"):
            while not self._accept("}"):
                if self._take().kind == "end":
                    raise NotMathematics("an array without columns")
        rows: list[tuple[Node, ...]] = []
        row = [self._relation()]
        while not self._accept(f"end {kind}"):
            if self._accept("&"):
                row.append(self._relation())
            elif self._accept(r"\\"):
                rows.append(tuple(row))
                if self._is(f"end {kind}"):
                    row = []
                    continue
                row = [self._relation()]
            else:
                raise NotMathematics(f"'{self._next.value}' in a matrix")
        if row:
            rows.append(tuple(row))
        if len({len(row) for row in rows}) != 1:
            raise NotMathematics("rows of different length")
        return ("matrix", "|" if kind == "vmatrix" else "[", tuple(rows))
