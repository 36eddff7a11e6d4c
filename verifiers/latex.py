r"""Reading LaTeX answers into a small syntax tree, without evaluating anything.

A node is a tuple (kind, ...); equal trees are equal tuples:
    ("num", Fraction)   ("sym", name)   ("const", "pi" | "e" | "i")   ("text", words)
    ("add" | "mul" | "div" | "pow" | "mixed", a, b)   ("neg" | "fact" | "abs" | "percent", a)
    ("pm", a, b) a plus or minus b   ("mp", a, b)
    ("fn", name, a)   ("root", a, n)   ("log", base, a)   ("binom", n, k)
    ("both", items) inequalities that hold together
    ("list", items) ("set", items) ("bracket", "(" or "[", items, ")" or "]") ("union", items)
    ("relation", operators, sides)   ("matrix", brackets, rows)   ("ratio", items)
    ("based", digits, base)   ("mod", a, n)   ("intersection" | "difference", a, b)   ("dots",)
    ("big", name, lower, upper, body) a sum, integral, limit, ...: read, never computed
The text is data: nothing in it is looked up, called or evaluated, and its length and the depth of
its nesting are bounded.
"""

from fractions import Fraction

from verifiers.atoms import Atoms, Node
from verifiers.tokens import NotMathematics, tokens
from verifiers.vocabulary import (
    ALTERNATIVES,
    BASES,
    BOTH,
    ORDERS,
    PRODUCT_STARTS,
    RELATIONS,
    SET_SIGNS,
)

__all__ = ["MAX_LENGTH", "Node", "read"]

MAX_LENGTH = 2000


def read(text: str) -> Node:
    """The tree of an answer. Time is linear in the text's length.

    Raises:
        NotMathematics: it is too long, too deeply nested, or says something this cannot read.
    """
    if len(text) > MAX_LENGTH:
        raise NotMathematics(f"it is {len(text):,} characters long (at most {MAX_LENGTH:,})")
    return Reader(tokens(text)).whole()


class Reader(Atoms):
    """Recursive descent over the tokens, one method per level of precedence."""

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise NotMathematics("it is empty")
        if self._accept("approx"):
            return ("relation", ("~",), (("sym", "the answer"), self.whole()))
        start = self._at
        items = self._items()
        if self._next.kind != "end":
            raise NotMathematics(f"'{self._next.value}' is not understood where it stands")
        if len(items) == 1:
            return items[0]
        signs = {sign for item in items for sign in (item[1] if item[0] == "relation" else "?")}
        said = {token.value for token in self._tokens[start:] if token.value in ALTERNATIVES | BOTH}
        both = signs == {"!="} or (said & BOTH and signs <= ORDERS)
        return ("both" if both and not said & ALTERNATIVES else "list", tuple(items))

    def _items(self) -> list[Node]:
        items = [self._relation()]
        while self._accept(",", ";", *ALTERNATIVES, *BOTH):
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
        node = ("relation", tuple(operators), tuple(sides)) if operators else sides[0]
        return ("mod", node, self._argument()) if self._accept("pmod") else node

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
            elif self._starts_factor():
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

    def _starts_factor(self) -> bool:
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
