"""What is fuzzed: how an input is made from bytes, and what must hold of it."""

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

from benchmarks.fuzz.choices import Choices


class Violation(AssertionError):
    """A verifier said what it must not say of this input."""


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Target:
    """One verifier, or one reader of hostile bytes."""

    name: str
    what: str  # for a person: the functions that are called
    make: Callable[[Choices], tuple[Any, ...]]  # the arguments of `check`
    check: Callable[..., str]  # what came out, to be counted; raises when something is wrong
    prepare: Callable[[], None] = nothing  # before the first input
    finish: Callable[[], None] = nothing  # after the last; raises when something is left behind
    guided: bool = True  # coverage of our own code says something about its inputs
    clock: Callable[[], float] = process_time  # what the time of an input is read from
    length: int = 160  # bytes an input is made from, at most


def require(condition: object, what: str) -> None:
    """Raises Violation unless the condition holds; `assert` that -O leaves in."""
    if not condition:
        raise Violation(what)
