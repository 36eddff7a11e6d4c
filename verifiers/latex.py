r"""Reading LaTeX answers into a small syntax tree, without evaluating anything.

A node is a tuple (kind, ...); equal trees are equal tuples:
    ("num", Fraction)   ("sym", name)   ("const", "pi" | "e" | "i")   ("text", words)
    ("add" | "mul" | "div" | "pow" | "mixed", a, b)   ("neg" | "fact" | "abs" | "percent", a)
    ("pm", a, b) a plus or minus b   ("mp", a, b)
    ("fn", name, a)   ("root", a, n)   ("log", base, a)   ("binom", n, k)
    ("list", items) ("set", items) ("bracket", "(" or "[", items, ")" or "]") ("union", items)
    ("relation", operators, sides)   ("matrix", brackets, rows)   ("ratio", items)
    ("based", digits, base)   ("intersection" | "difference", a, b)   ("dots",)
    ("big", name, lower, upper, body) a sum, integral, limit, ...: read, never computed
The text is data: nothing in it is looked up, called or evaluated, and its length and the depth of
its nesting are bounded.
"""

import re
from fractions import Fraction
from typing import Any

from verifiers.cursor import Cursor
from verifiers.tokens import NotMathematics, Token, tokens
from verifiers.vocabulary import (
    ACCENTS,
    BASES,
    BIG,
    DOTS,
    FUNCTIONS,
    GREEK,
    INVERSE,
    PRODUCT_STARTS,
    RELATIONS,
    SET_SIGNS,
)

Node = tuple[Any, ...]

MAX_LENGTH = 2000


def read(text: str) -> Node:
    """The tree of an answer. Time is linear in the text's length.

    Raises:
        NotMathematics: it is too long, too deeply nested, or says something this cannot read.
    """
    if len(text) > MAX_LENGTH:
        raise NotMathematics(f"it is {len(text):,} characters long (at most {MAX_LENGTH:,})")
    return Reader(tokens(text)).whole()


class Reader(Cursor):
    """Recursive descent over the tokens, one method per level of precedence."""

    def __init__(self, found: list[Token]) -> None:
        super().__init__(found)
        self._in_bars = 0

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise NotMathematics("it is empty")
        if self._accept("approx"):
            return ("relation", ("~",), (("sym", "the answer"), self.whole()))
        items = self._items()
        if self._next.kind != "end":
            raise NotMathematics(f"'{self._next.value}' is not understood where it stands")
        return items[0] if len(items) == 1 else ("list", tuple(items))

    def _items(self) -> list[Node]:
        items = [self._relation()]
        while self._accept(",", ";", "or", "and", "vee", "lor"):
            self._accept("and", "or", ",")  # "1, 2, and 3"
            items.append(self._relation())
        return items

    def _relation(self) -> Node:
        self._enter()
        sides, operators = [self._ratio()], []
        while (operator := self._relation_sign()) is not None:
            operators.append(operator)
            sides.append(self._ratio())
        self._depth -= 1
        return ("relation", tuple(operators), tuple(sides)) if operators else sides[0]

    def _relation_sign(self) -> str | None:
        if self._next.kind not in ("mark", "command"):
            return None
        value = self._next.value
        sign = RELATIONS.get(value) or (value if value in ("<=", ">=", "!=") else None)
        if sign:
            self._at += 1
            if sign in "<>" and self._next.glued and self._accept("="):
                return sign + "="
        return sign

    def _ratio(self) -> Node:
        items = [self._union()]
        while self._accept(":"):
            items.append(self._union())
        return ("ratio", tuple(items)) if len(items) > 1 else items[0]

    def _union(self) -> Node:
        left = self._sum()
        while self._next.kind == "command" and self._next.value in SET_SIGNS:
            sign = SET_SIGNS[self._take().value]
            right = self._sum()
            if sign == "union":
                left = (sign, (*(left[1] if left[0] == sign else (left,)), right))
            else:
                left = (sign, left, right)
        return left

    def _sum(self) -> Node:
        if self._accept("pm"):
            left: Node = ("pm", ("num", Fraction(0)), self._product())
        else:
            left = self._product()
        while True:
            if self._accept("+"):
                left = ("add", left, self._product())
            elif self._accept("-"):
                left = ("add", left, ("neg", self._product()))
            elif self._accept("pm"):
                left = ("pm", left, self._product())
            elif self._accept("mp"):
                left = ("mp", left, self._product())
            else:
                return left

    def _product(self) -> Node:
        left = self._signed()
        while True:
            if self._accept("*", "cdot", "times"):
                left = ("mul", left, self._signed())
            elif self._accept("/", "div"):
                left = ("div", left, self._signed())
            elif self._starts_factor(left):
                left = self._beside(left, self._power())
            else:
                return left

    def _signed(self) -> Node:
        self._enter()
        if self._accept("-"):
            node: Node = ("neg", self._signed())
        elif self._accept("+"):
            node = self._signed()
        else:
            node = self._power()
        self._depth -= 1
        return node

    def _starts_factor(self, left: Node) -> bool:
        """Whether what comes next is multiplied with what came before, without a sign."""
        token = self._next
        if token.kind == "letter":
            return True
        if token.kind == "mark":
            return token.value in ("(", "{") or (token.value == "|" and not self._in_bars)
        if token.kind == "command":
            return token.value in PRODUCT_STARTS
        return False  # two numbers side by side are no product

    def _beside(self, left: Node, right: Node) -> Node:
        r"""A product without a sign between; but `1\frac{1}{2}` is a mixed number."""
        if left[0] in ("num", "neg") and right[0] == "div" and right[1][0] == right[2][0] == "num":
            whole = left[1] if left[0] == "neg" else left
            if whole[0] == "num" and whole[1].denominator == 1:
                mixed = ("mixed", whole, right)
                return ("neg", mixed) if left[0] == "neg" else mixed
        return ("mul", left, right)

    def _power(self) -> Node:
        base = self._postfix()
        if not self._accept("^"):
            return base
        if self._accept("circ", "degree"):
            return self._degrees(base)
        exponent = self._argument()
        if exponent == ("sym", "circ"):
            return self._degrees(base)
        power: Node = ("pow", base, exponent)
        if self._is("^"):
            raise NotMathematics("two exponents in a row")
        while self._accept("!"):
            power = ("fact", power)
        return power

    def _degrees(self, base: Node) -> Node:
        return ("mul", base, ("div", ("const", "pi"), ("num", Fraction(180))))

    def _postfix(self) -> Node:
        node = self._atom()
        while True:
            if self._accept("!"):
                node = ("fact", node)
            elif self._accept("%", r"\%"):
                node = ("percent", node)
            elif self._accept("degree"):
                node = self._degrees(node)
            elif node[0] == "num" and self._accept("_"):
                base = self._argument()
                if base[0] == "text" and base[1] in BASES:
                    base = ("num", Fraction(BASES[base[1]]))
                node = ("based", node[1], base)
            else:
                return node

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
                "begin pmatrix" | "begin bmatrix" | "begin vmatrix" | "begin matrix" | "begin array"
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
        while self._starts_factor(node) and not self._is("(", "{", "|", *FUNCTIONS):
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
