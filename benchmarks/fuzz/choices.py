"""Inputs made from bytes, so that whoever changes the bytes changes the decisions behind an input:
a coverage-guided fuzzer, or a generator of random bytes."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = 30_000  # characters of one text


class Choices:
    """Decisions read from bytes, one or two bytes each; when they are used up every one is 0."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, n: int) -> int:
        """0 to n-1, for n up to 65,536."""
        width = 1 if n <= 256 else 2
        taken = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(taken, "big") % n

    def between(self, least: int, most: int) -> int:
        return least + self.below(most - least + 1)

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, percent: int) -> bool:
        """True for so many of 100 bytes; False when they are used up."""
        return self.below(100) >= 100 - percent

    def rest(self) -> bytes:
        """All that is left."""
        at, self._at = self._at, len(self._data)
        return self._data[at:]

    def characters(self, most: int) -> str:
        """Arbitrary characters, surrogates among them."""
        return "".join(chr(self.below(0x3000)) for _ in range(self.between(0, most)))

    def pieces(self, options: Sequence[str], most: int) -> str:
        """Some of the options, one after the other."""
        return "".join(self.one_of(options) for _ in range(self.between(1, most)))

    def changed(self, text: str, options: Sequence[str]) -> str:
        """With up to four options put in, each in the place of at most two characters."""
        for _ in range(self.between(1, 4)):
            at = self.below(min(len(text), 60_000) + 1)
            text = text[:at] + self.one_of((*options, "")) + text[at + self.between(0, 2) :]
        return text

    def repeated(self, text: str, percent: int = 3) -> str:
        """Now and then many times over, which shows what takes more than linear time."""
        if not self.chance(percent):
            return text
        return (text * self.between(10, 6000))[:LONGEST]
