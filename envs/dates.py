"""The calendar: days between two dates, weekdays, how often a weekday occurs."""

from calendar import isleap, monthrange
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes

Name = Literal["days", "weekday", "occurrences"]

# Not calendar.day_name, which follows the locale.
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
YEARS = ((2020, 2029), (1990, 2029), (1950, 2049), (1900, 2099), (1600, 2399))  # by level
MOST_DAYS = (60, 300, 1500, 20000, 150000)  # between two dates


def draw_two_dates(rng: Random, level: int) -> dict[str, Any]:
    """Level 1: within one year."""
    first_year, last_year = YEARS[level - 1]
    first, last = date(first_year, 1, 1).toordinal(), date(last_year, 12, 31).toordinal()
    while True:
        start = rng.randint(first, last - MOST_DAYS[level - 1])
        end = start + rng.randint(MOST_DAYS[level - 1] // 6, MOST_DAYS[level - 1])
        a, b = date.fromordinal(start), date.fromordinal(end)
        if level > 1 or a.year == b.year:
            return {"start": a.isoformat(), "end": b.isoformat()}


def day_number(notes: Notes, text: str, since: int) -> int:
    """Days from the first of January of the year `since`, which counts as 1, to a date."""
    day = date.fromisoformat(text)
    number = day.day
    for month in range(1, day.month):
        length = monthrange(day.year, month)[1]
        number = notes.step(f"{number}+{length}", number + length)
    years = day.year - since
    if years:
        leap_days = sum(isleap(year) for year in range(since, day.year))
        whole = notes.step(f"365*{years}+{leap_days}", 365 * years + leap_days)
        number = notes.step(f"{number}+{whole}", number + whole)
    return number


def work_days(notes: Notes, start: str, end: str) -> str:
    since = date.fromisoformat(start).year
    first, last = day_number(notes, start, since), day_number(notes, end, since)
    return str(notes.step(f"{last}-{first}", last - first))


def draw_weekday(rng: Random, level: int) -> dict[str, Any]:
    blanks = draw_two_dates(rng, level)
    return {**blanks, "known": WEEKDAYS[date.fromisoformat(blanks["start"]).weekday()]}


def work_weekday(notes: Notes, start: str, end: str, known: str) -> str:
    days = int(work_days(notes, start, end))
    rest = notes.step(f"{days} mod 7", days % 7)
    return f"\\text{{{WEEKDAYS[(WEEKDAYS.index(known) + rest) % 7]}}}"


def draw_occurrences(rng: Random, level: int) -> dict[str, Any]:
    return {**draw_weekday(rng, level), "wanted": rng.choice(WEEKDAYS)}


def work_occurrences(notes: Notes, start: str, end: str, known: str, wanted: str) -> str:
    """The first one, and then one for every seven days that are left."""
    days = int(work_days(notes, start, end))
    ahead = (WEEKDAYS.index(wanted) - WEEKDAYS.index(known)) % 7
    first = notes.step(f"{known} to {wanted}", ahead)
    weeks = notes.step(f"({days}-{first})/7", (days - first) // 7)
    return str(notes.step(f"{weeks}+1", weeks + 1))


@dataclass(frozen=True)
class Dates(Family):
    """Days between two dates of the Gregorian calendar, weekdays, and how often one occurs.

    | level | years | days apart, up to |
    |---|---|---|
    | 1 | 2020 to 2029, both dates in one year | 60 |
    | 2 | 1990 to 2029 | 300 |
    | 3 | 1950 to 2049 | 1,500 |
    | 4 | 1900 to 2099 | 20,000 |
    | 5 | 1600 to 2399 | 150,000 |

    Whoever always says the same weekday is right once in seven times: leave `weekday` out of
    `kinds` where that is too often.
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        "days": Kind("How many days after {start} is {end}?", draw_two_dates, work_days),
        "weekday": Kind(
            "{start} is a {known}. Which day of the week is {end}?",
            draw_weekday,
            work_weekday,
            decisive="end",
        ),
        "occurrences": Kind(
            "{start} is a {known}. How many {wanted}s are there from then to {end}, both included?",
            draw_occurrences,
            work_occurrences,
        ),
    }
    kinds: tuple[Name, ...] = get_args(Name)
