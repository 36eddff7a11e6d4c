"""How many ways: selections, teams, paths on a grid, arrangements of letters."""

from dataclasses import dataclass
from math import factorial
from random import Random
from string import ascii_uppercase
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes

Name = Literal["selections", "teams", "paths", "arrangements"]

LARGEST_SET = (8, 11, 15, 20, 30)  # to select from, by level
LARGEST_SELECTION = (3, 4, 5, 6, 8)
LETTERS = ((3, 4), (4, 5), (6, 7), (8, 9), (10, 12))  # of a word: fewest, most
THINGS = (
    "apples", "books", "cards", "coins", "cups", "dogs", "flags", "hats", "keys", "maps", "pens",
    "plants", "rings", "shells", "songs", "stamps", "stones", "tools", "toys", "trees",
)  # fmt: skip


def draw_selections(rng: Random, level: int) -> dict[str, Any]:
    k = rng.randint(2, LARGEST_SELECTION[level - 1])
    n = rng.randint(k + 2, LARGEST_SET[level - 1])
    return {"k": k, "n": n, "things": rng.choice(THINGS)}


def choose(notes: Notes, n: int, k: int) -> int:
    """n over k, multiplied up one factor at a time, so that every division is exact."""
    k = min(k, n - k)
    value = 1
    for i in range(1, k + 1):
        value = notes.step(f"{value}*{n - k + i}/{i}", value * (n - k + i) // i)
    return value


def work_selections(notes: Notes, k: int, n: int, things: str) -> str:
    return str(choose(notes, n, k))


def draw_teams(rng: Random, level: int) -> dict[str, Any]:
    largest = LARGEST_SET[level - 1] - 2
    women, men = (rng.randint(3, largest) for _ in range(2))
    most = LARGEST_SELECTION[level - 1]
    return {
        "women": women,
        "men": men,
        "w": rng.randint(1, min(most, women - 1)),
        "m": rng.randint(1, min(most, men - 1)),
    }


def work_teams(notes: Notes, women: int, men: int, w: int, m: int) -> str:
    first, second = choose(notes, women, w), choose(notes, men, m)
    return str(notes.step(f"{first}*{second}", first * second))


def draw_paths(rng: Random, level: int) -> dict[str, Any]:
    x, y = rng.randint(0, 9), rng.randint(0, 9)
    longest = LARGEST_SELECTION[level - 1] + 1
    return {"x": x, "y": y, "u": x + rng.randint(2, longest), "v": y + rng.randint(2, longest)}


def work_paths(notes: Notes, x: int, y: int, u: int, v: int) -> str:
    right, up = notes.step(f"{u}-{x}", u - x), notes.step(f"{v}-{y}", v - y)
    if min(right, up) < 0:
        raise ArithmeticError("no path leads left or down")
    return str(choose(notes, right + up, up))


def draw_arrangements(rng: Random, level: int) -> dict[str, Any]:
    """A made-up word in which some letters occur several times."""
    length = rng.randint(*LETTERS[level - 1])
    letters = rng.sample(ascii_uppercase, max(2, length - level))
    word = letters + rng.choices(letters, k=length - len(letters))
    rng.shuffle(word)
    return {"word": "".join(word)}


def work_arrangements(notes: Notes, word: str) -> str:
    value = notes.step(f"{len(word)}!", factorial(len(word)))
    for letter in sorted(set(word)):
        if (n := word.count(letter)) > 1:
            value = notes.step(f"{value}/{n}!", value // factorial(n))
    return str(value)


@dataclass(frozen=True)
class Counting(Family):
    """Selections and teams (binomial coefficients), shortest grid paths, arrangements of letters.

    | level | to select from | select | path, per direction | letters of a word |
    |---|---|---|---|---|
    | 1 | 8 | 3 | 4 | 3 to 4 |
    | 2 | 11 | 4 | 5 | 4 to 5 |
    | 3 | 15 | 5 | 6 | 6 to 7 |
    | 4 | 20 | 6 | 7 | 8 to 9 |
    | 5 | 30 | 8 | 9 | 10 to 12 |
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "selections": Kind(
            "In how many ways can {k} of {n} different {things} be chosen?",
            draw_selections,
            work_selections,
        ),
        "teams": Kind(
            "{women} women and {men} men send {w} women and {m} men. How many different teams?",
            draw_teams,
            work_teams,
        ),
        "paths": Kind(
            "Going right or up by 1 each step, how many paths lead from ({x},{y}) to ({u},{v})?",
            draw_paths,
            work_paths,
        ),
        "arrangements": Kind(
            "In how many different orders can the letters of {word} be written?",
            draw_arrangements,
            work_arrangements,
        ),
    }
    kinds: tuple[Name, ...] = get_args(Name)
