"""Where a reader stands in its tokens, and the bounds it keeps."""

from verifiers.tokens import NotMathematics, Token

MAX_DEPTH = 120  # of calls; a pair of parentheses takes four
MAX_TERMS = 300  # keeps every walk over a tree far from Python's recursion limit


class Cursor:
    """Looks at one token ahead, and counts depth and terms."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = [*found, Token("end", "", False)]
        self._at = 0
        self._depth = 0
        self._terms = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, *values: str) -> bool:
        return self._next.kind in ("mark", "command", "text") and self._next.value in values

    def _accept(self, *values: str) -> bool:
        if self._is(*values):
            self._at += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise NotMathematics(f"'{value}' is missing before '{self._next.value or 'its end'}'")

    def _enter(self) -> None:
        """Called on the way into every nested part; the way out lowers `_depth` again."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotMathematics(f"it is nested more than {MAX_DEPTH} deep")

    def _count_term(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise NotMathematics(f"it has more than {MAX_TERMS} terms")
