"""What the user sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

import math
import re
import time
from collections import deque
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

EVERY_STEP = ("sample_s", "learn_s", "publish_s")  # what the steps to come will take, too
MOST_CELLS = 100_000  # of a table's row, where there is no terminal
LINE_EVERY_S = 5.0  # between plain step lines, where there is no terminal

# Control characters but tab and newline, and halves of surrogate pairs.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Text that may hold a policy's, for a terminal: what could not be written there or would steer
    it stands as an escape such as \\x1b or \\ud800."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def how_many(n: int, what: str) -> str:
    """`1 rank`, `2 ranks`."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def print_table(table: Table, console: Console | None = None) -> None:
    """For people. Where the output is no terminal every row is one line, however long."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        unbounded = console.options.update(max_width=MOST_CELLS)
        table.width = console.measure(table, options=unbounded).maximum
    console.print(table, soft_wrap=True)


class Progress:
    """Shows steps, waits and warnings. Close it, or use it as a context manager."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._steps = steps
        self._reason, self._since, self._deadline_s = "starting", time.monotonic(), 0.0
        self._last: dict[str, Any] = {}
        self._forecast: dict[str, Any] | None = None
        self._recent: deque[float] = deque(maxlen=20)  # seconds per step
        self._printed_at = 0.0
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def wait(self, reason: str, deadline_s: float) -> None:
        """Show what the run waits for, from now on, and how long it will at most."""
        if not self._console.is_terminal and not self._last and reason != self._reason:
            self._console.print(f"... {reason} (at most {deadline_s:.0f} s)", markup=False)
        self._reason, self._since, self._deadline_s = reason, time.monotonic(), deadline_s

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        self.say(f"WARNING: {text}", style="bold yellow")

    def show(self, table: Table) -> None:
        print_table(table, self._console)

    def step(self, row: dict[str, Any]) -> None:
        self._last = row
        self._recent.append(sum(row["time"].get(phase, 0.0) for phase in EVERY_STEP))
        plain = not self._console.is_terminal
        due = time.monotonic() - self._printed_at >= LINE_EVERY_S or row["step"] == self._steps
        if plain and due:
            self._console.print(self._numbers(), markup=False)
            self._printed_at = time.monotonic()

    def forecast(self, numbers: dict[str, Any]) -> None:
        """What the run will end at, as its curve of held-out scores says."""
        self._forecast = numbers

    def tick(self) -> None:
        """Redraw; called often by whoever waits."""
        if self._console.is_terminal:
            waited = time.monotonic() - self._since
            limit = f" of at most {self._deadline_s:.0f}" if self._deadline_s else ""
            line = f"{self._numbers()}\n{self._reason} ({waited:.0f}{limit} s)"
            self._live.update(Text(line))

    def refresh(self) -> None:
        """Draw now what `tick` would have drawn at the next occasion."""
        self._live.refresh()

    def _numbers(self) -> str:
        row = self._last
        if not row:
            return f"step 0/{self._steps}"
        took, pace = row["time"], row["pace"]
        left = (self._steps - row["step"]) * sum(self._recent) / len(self._recent)
        return (
            f"step {row['step']}/{self._steps}  reward {row['reward']:.3f}  "
            f"signal {row['signal_fraction']:.0%}  truncated {row['truncated_fraction']:.0%}  "
            f"sampled {pace['sampled_tokens_per_s']:,.0f} tok/s  "
            f"trained {row['n_trained_tokens'] / took['learn_s']:,.0f} tok/s  "
            f"idle {pace['servers_idle_fraction']:.0%}/{pace['learner_idle_fraction']:.0%}  "
            f"KL {row['mismatch_kl']:.1e}  "
            f"p diff {row['prob_diff_max']:.1e}  "
            + (f"masked {row['masked_fraction']:.1%}  " if row["masked_fraction"] else "")
            + _critic(row.get("critic"))
            + _ending(self._forecast)
            + f"left {left / 60:.1f} min"
        )


def _critic(numbers: dict[str, Any] | None) -> str:
    """What PPO's critic knows, and whether it is still alone in learning."""
    if numbers is None:
        return ""
    known = numbers["explained_variance"]
    frozen = "policy frozen, only the critic learns  " if numbers["policy_frozen"] else ""
    return ("" if math.isnan(known) else f"critic explains {known:.0%}  ") + frozen


def _ending(forecast: dict[str, Any] | None) -> str:
    """The score that held-out tasks are forecast to have after the last step."""
    if forecast is None:
        return ""
    score = forecast["score"]
    return f"will end at {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]  "


def before_after(summary: dict[str, Any]) -> Table:
    """The table at the end of a run."""
    k = summary["samples"]
    table = Table(title=f"{summary['problems']} held-out problems, {k} answers each")
    for column in ("", "before", "after", "95 % interval after"):
        table.add_column(column, justify="left" if not column else "right")
    before, after = summary["before"], summary["after"]
    rows = [(f"avg@{k}", before["avg_at_k"], after["avg_at_k"])]
    of_env = before["avg_by_env"], after["avg_by_env"]
    if len(of_env[0]) > 1:
        rows += [(f"  {x}", of_env[0][x], of_env[1][x]) for x in of_env[0] if x in of_env[1]]
    rows.append((f"pass@{after['pass_k']}", before["pass_at_k"], after["pass_at_k"]))
    for label, then, now in rows:
        table.add_row(
            label,
            f"{then['value']:.3f}",
            f"{now['value']:.3f}",
            f"{now['low']:.3f} to {now['high']:.3f}",
        )
    return table
