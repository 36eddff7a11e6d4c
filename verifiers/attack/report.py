"""What came of an attack: counts per attacker, rates with bounds, cost, and admitted or not."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from verifiers.attack.attacker import Attacker, Expect
from verifiers.verdict import Outcome, Verdict

SHOWN = 120  # characters of a response in the report
CONFIDENCE = 0.95
# A rule that is right more often than this is a crack, beyond chance: where there are only two
# answers, such as yes and no, half of the tasks are no sign of one.
GUESS_LIMIT_OF_TWO, GUESS_LIMIT = 0.6, 0.4
CONSTANT = ("constant", "constant result", "majority")  # attackers whose rules are one answer


@dataclass(frozen=True, slots=True)
class Example:
    """One response that was judged as it should not be."""

    label: str
    prompt: str
    response: str
    detail: str

    @classmethod
    def of(cls, label: str, prompt: str, response: str, detail: str) -> Self:
        return cls(label, *(short(text) for text in (prompt, response, detail)))


@dataclass(slots=True)
class Row:
    """One attacker's attempts. `mistakes`: accepted where refusing is due, or the other way."""

    name: str
    reason: str
    expect: str
    decides: bool
    attempts: int = 0
    mistakes: int = 0
    broken: int = 0
    exceeded: int = 0
    example: Example | None = None
    broken_example: Example | None = None
    guesses: dict[str, list[int]] = field(default_factory=dict)  # rule -> right, tried

    @classmethod
    def of(cls, attacker: Attacker) -> Self:
        return cls(attacker.name, attacker.reason, str(attacker.expect), attacker.decides)

    def add(self, example: Example, verdict: Verdict) -> None:
        """Count one verdict."""
        self.attempts += 1
        self.exceeded += verdict.outcome is Outcome.EXCEEDED
        right = verdict.outcome is Outcome.CORRECT
        if verdict.outcome is Outcome.BROKEN:
            self.broken += 1
            self.broken_example = self.broken_example or example
        if self.expect == Expect.GUESS:
            counts = self.guesses.setdefault(example.label, [0, 0])
            counts[0] += right
            counts[1] += 1
            return
        paid = verdict.score > 0 if self.expect == Expect.NOTHING else right
        if paid if self.expect != Expect.ACCEPT else not right:
            self.mistakes += 1
            self.example = self.example or example

    @property
    def best_guess(self) -> tuple[str, int, int] | None:
        """The rule most surely right too often: its label, how often it was, of how many."""
        if not self.guesses:
            return None
        label = max(self.guesses, key=lambda name: lower_bound(*self.guesses[name]))
        right, tried = self.guesses[label]
        return label, right, tried


@dataclass(slots=True)
class Report:
    """One environment under attack. Admitted when `reasons` is empty."""

    env: str
    options: dict[str, Any]
    answers: str
    tasks: int
    rows: list[Row]
    verifiers: list[str] = field(default_factory=list)  # who judged, with versions
    slowest_s: float = 0.0
    slowest: str = ""  # attacker and label
    peak_mib: float = 0.0  # of a verifier worker
    deadline_s: float = 0.0
    different: int = 0  # right answers among the tasks
    executed: bool = False  # a response was run outside of a sandbox
    changed: list[Example] = field(default_factory=list)  # verdicts that were others the next time
    judged_twice: int = 0
    untried: int = 0  # responses: the verifier had failed too often to go on
    seconds: float = 0.0

    def counts(self, *expects: Expect) -> tuple[int, int]:
        """Mistakes and attempts of the attackers that decide."""
        rows = [row for row in self.rows if row.decides and row.expect in expects]
        return sum(row.mistakes for row in rows), sum(row.attempts for row in rows)

    @property
    def false_accepts(self) -> tuple[int, int]:
        return self.counts(Expect.REFUSE, Expect.NOTHING)

    @property
    def false_rejects(self) -> tuple[int, int]:
        return self.counts(Expect.ACCEPT)

    @property
    def broken(self) -> int:
        return sum(row.broken for row in self.rows)

    @property
    def guess_limit(self) -> float:
        return GUESS_LIMIT_OF_TWO if self.different <= 2 else GUESS_LIMIT

    @property
    def best_constant(self) -> tuple[str, int, int] | None:
        """The answer that is most often right whatever the task: how often it was, of how many."""
        rows = [row for row in self.rows if row.name in CONSTANT]
        found = [(label, k, n) for row in rows for label, (k, n) in row.guesses.items()]
        return max(found, key=lambda guess: guess[1] / guess[2], default=None)

    @property
    def reasons(self) -> list[str]:
        """Why this environment may not train; empty: it is admitted."""
        found = []
        for row in self.rows:
            if row.mistakes and row.decides:
                verb = "refused" if row.expect == Expect.ACCEPT else "accepted"
                found.append(f"{row.name}: {row.mistakes} of {row.attempts} {verb}")
            guess = row.best_guess
            if guess is not None and lower_bound(guess[1], guess[2]) > self.guess_limit:
                found.append(f"{row.name}: '{guess[0]}' is right {guess[1]} times in {guess[2]}")
        if self.broken:
            rest = f"; {self.untried:,} more were not tried" if self.untried else ""
            found.append(f"the verifier failed on {self.broken} responses{rest}")
        if self.changed:
            found.append(
                f"{len(self.changed)} of {self.judged_twice} verdicts were others the second time"
            )
        if self.executed:
            found.append("a response was executed outside of a sandbox")
        if self.false_rejects[1] == 0:
            found.append("no right answer was tried")
        return found

    @property
    def admitted(self) -> bool:
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        accepts, rejects = self.false_accepts, self.false_rejects
        return asdict(self) | {
            "admitted": self.admitted,
            "reasons": self.reasons,
            "false_accepts": [*accepts, upper_bound(*accepts)],
            "false_rejects": [*rejects, upper_bound(*rejects)],
            "broken": self.broken,
        }


def short(text: str, length: int = SHOWN) -> str:
    """One line of it, printable whatever it holds."""
    shown = text[: length + 1].encode("unicode_escape").decode()
    return shown if len(shown) <= length else shown[: length - 3] + "..."


def upper_bound(k: int, n: int) -> float:
    """Upper 95 % bound, one-sided, of a rate seen k times in n (Clopper and Pearson 1934).

    0 of n gives 1 - 0.05^(1/n). 1 where nothing was tried.
    """
    if n == 0 or k >= n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(60):  # the chance of seeing at most k falls as the rate rises
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(k, n, middle) > 1 - CONFIDENCE else (low, middle)
    return high


def lower_bound(k: int, n: int) -> float:
    """Lower bound, one-sided, of the same kind."""
    return 1.0 - upper_bound(n - k, n)


def _at_most(k: int, n: int, p: float) -> float:
    """Chance of at most k successes in n trials; by logarithms, so that no factor overflows."""
    if p >= 1.0:
        return 0.0
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
        + (i * math.log(p) if i else 0.0) + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )  # fmt: skip
    return sum(map(math.exp, terms))


def table(report: Report) -> str:
    """The report as lines for a person."""
    head = f"{report.env} {report.options or ''}".strip()
    width = max((len(row.name) for row in report.rows), default=0)
    lines = [f"attack on {head}: {report.tasks} tasks, {report.answers} answers", ""]
    lines.append(f"{'attacker':{width}}  tried  mistakes  broken  what")
    lines += [_line(row, width) for row in report.rows]
    lines += ["", *_rates(report), ""]
    if report.admitted:
        lines.append("admitted")
    else:
        lines += ["NOT admitted:", *(f"  {reason}" for reason in report.reasons)]
        lines += [f"  example: {line}" for line in _examples(report)]
    return "\n".join(lines)


def _line(row: Row, width: int) -> str:
    what = row.reason
    guess = row.best_guess
    if guess is not None and guess[1]:
        what = f"best guess '{guess[0]}' right {guess[1]} times in {guess[2]}"
    elif row.example is not None:
        what = f"{row.example.label}: {row.example.response}"
    note = "" if row.decides else " (a convention; not counted)"
    return f"{row.name:{width}}  {row.attempts:5}  {row.mistakes:8}  {row.broken:6}  {what}{note}"


def _rates(report: Report) -> Sequence[str]:
    lines = []
    for name, (k, n) in (
        ("false accepts", report.false_accepts),
        ("false rejects", report.false_rejects),
    ):
        share = f"{k / n:.3%}" if n else "-"
        lines.append(
            f"{name}  {k} of {n:,}: {share}, below {upper_bound(k, n):.3%} with 95 % confidence"
        )
    if (best := report.best_constant) is not None:
        earned = f"{best[1] / best[2]:.0%} ('{short(best[0], 40)}')"
        lines.append(
            f"guessing       a constant answer earns {earned}; a rule that earns more than "
            f"{report.guess_limit:.0%} beyond chance is a crack"
        )
    lines.append(f"judged twice   {report.judged_twice:,}, {len(report.changed)} differently")
    lines.append(
        f"cost           slowest {report.slowest_s:.2f} s ({report.slowest}), limit "
        f"{report.deadline_s:g} s; peak memory of a worker {report.peak_mib:.0f} MiB; "
        f"{report.seconds:.1f} s in all"
    )
    lines.append(f"verifiers      {', '.join(report.verifiers)}")
    return lines


def _examples(report: Report) -> list[str]:
    found = [row.example for row in report.rows if row.example and row.decides]
    found += [row.broken_example for row in report.rows if row.broken_example]
    found += report.changed[:3]
    return [
        f"[{x.label}] to '{x.prompt}': '{x.response}'" + (f" ({x.detail})" if x.detail else "")
        for x in found[:12]
    ]
