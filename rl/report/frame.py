"""One picture of a run for a terminal: sparklines, the last verdicts, an answer, the keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rl.progress import printable
from rl.report.curves import CURVES, Curve, values
from rl.report.follow import Follower
from rl.report.read import Row
from verifiers.verdict import Outcome

BARS = "▁▂▃▄▅▆▇█"
COLOURS = {"correct": "green", "partial": "bright_green", "wrong": "red", "unparsed": "yellow",
           "exceeded": "magenta", "broken": "bold red"}  # fmt: skip
KEYS = "q leave   j/k older, newer answer   v next verdict   n newest"
VERDICT_CELLS = 40  # of the bar of verdicts


@dataclass
class View:
    """What is looked at, and how."""

    name: str
    steps: int
    run: Follower
    ended: str | None = None
    verdict: str | None = None  # only answers with this one; None: all
    back: int = field(default=0)  # so many answers before the newest

    def press(self, key: str) -> None:
        """Keys that mean nothing do nothing."""
        match key:
            case "j":
                self.back = min(self.back + 1, max(0, len(self.answers()) - 1))
            case "k":
                self.back = max(0, self.back - 1)
            case "n":
                self.back = 0
            case "v":
                kinds = [None, *map(str, Outcome)]
                self.verdict = kinds[(kinds.index(self.verdict) + 1) % len(kinds)]
                self.back = 0

    def answers(self) -> list[Row]:
        """Those of the chosen verdict, newest first."""
        return [
            row
            for row in reversed(self.run.answers)
            if self.verdict in (None, row.get("verdict", {}).get("outcome"))
        ]


def sparkline(numbers: Sequence[float], width: int, low: float, high: float) -> str:
    """The numbers as at most `width` bars between `low` and `high`, each a mean of those it covers.

    Raises:
        ValueError: there are none, or no room.
    """
    if not numbers or width < 1:
        raise ValueError(f"a sparkline needs numbers and room (got {len(numbers)}, width {width})")
    cells = min(width, len(numbers))
    bars = ""
    for i in range(cells):
        part = numbers[i * len(numbers) // cells : (i + 1) * len(numbers) // cells]
        mean = sum(part) / len(part)
        height = (mean - low) / (high - low) if high > low else 0.5
        bars += BARS[min(len(BARS) - 1, max(0, int(height * len(BARS))))]
    return bars


def frame(view: View, width: int, height: int | None) -> RenderableType:
    """The picture, `width` cells wide; `height` None: as high as it gets."""
    curves = _curves(view, width)
    head = [_title(view), _verdicts(view)]
    if height is None:
        return Group(*head, curves, *_answer(view, width, 12))
    left = height - len(head) - curves.row_count - 2
    return Group(*head, curves, *_answer(view, width, max(0, left)), Text(KEYS, style="dim"))


def _title(view: View) -> Text:
    metrics = view.run.metrics
    step = metrics[-1]["step"] if metrics else 0
    text = f"{view.name}  step {step}/{view.steps}"
    if view.ended is not None:
        text += f"  {view.ended}"
    elif not metrics:
        text += "  no step is finished yet"
    return Text(printable(text), style="bold", no_wrap=True)


def _curves(view: View, width: int) -> Table:
    """A line of bars for every figure that the run has."""
    table = Table.grid(padding=(0, 1))
    room = max(8, width - 46)
    for curve in CURVES:
        rows = view.run.evals if curve.evaluations else view.run.metrics
        for line in curve.lines:
            numbers = values(rows, line.path)
            if not numbers:
                continue
            ends = (0.0, 1.0) if curve.share else (min(numbers), max(numbers))
            shown = _shown(curve, numbers[-1])
            if line.band is not None:
                low, high = (values(rows, f"{line.band}.{end}")[-1] for end in ("low", "high"))
                shown += f" [{_shown(curve, low)}, {_shown(curve, high)}]"
            name = curve.title if len(curve.lines) == 1 else f"{curve.title}, {line.label}"
            table.add_row(
                Text(name[:28], style="dim", no_wrap=True),
                Text(sparkline(numbers, room, *ends), style="cyan", no_wrap=True),
                Text(shown, no_wrap=True),
            )
    return table


def _shown(curve: Curve, value: float) -> str:
    return f"{value:.1%}" if curve.share else f"{value:.4g}"


def _verdicts(view: View) -> Text:
    """The last step's, as a bar and in per cent."""
    if not view.run.metrics:
        return Text("")
    shares = view.run.metrics[-1].get("outcomes", {})
    there = [(str(o), float(shares.get(str(o), 0.0))) for o in Outcome if shares.get(str(o))]
    bar = Text(no_wrap=True)
    for outcome, share in there:
        bar.append("█" * round(share * VERDICT_CELLS), style=COLOURS[outcome])
    for outcome, share in there:
        bar.append(f"  {outcome} {share:.1%}", style=COLOURS[outcome])
    return bar


def _answer(view: View, width: int, lines: int) -> list[Text]:
    """The answer that is looked at, in at most so many lines."""
    kind = f" {view.verdict}" if view.verdict else ""
    found = view.answers()
    if not found or lines < 4:
        return [Text(f"no{kind} answer yet" if lines else "", style="dim")]
    row = found[min(view.back, len(found) - 1)]
    verdict = row["verdict"]
    skipped = row.get("skipped")
    became = "" if "trained" not in row else f", skipped: {skipped}" if skipped else ", trained on"
    head = (
        f"{verdict['outcome']}: {row['env']}, {row['split']}, step {row['step']}{became}"
        f" ({view.back + 1} of the last {len(found)}{kind})"
    )
    prompt = row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
    reason = verdict["detail"] or "none given"
    room = lines - 3
    texts = [
        Text(_line(head), style=COLOURS.get(verdict["outcome"], ""), no_wrap=True),
        Text(_line(f"prompt  {prompt}"), style="dim", no_wrap=True),
        *_wrapped(row["response"], width, room),
        Text(_line(f"reason  {reason}"), style="dim", no_wrap=True),
    ]
    for text in texts:
        text.truncate(width, overflow="ellipsis")
    return texts


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _wrapped(text: str, width: int, most: int) -> list[Text]:
    """A text of a policy in lines, the last ones left out."""
    own = [
        line[start : start + width]
        for line in printable(text[: most * width]).splitlines() or [""]
        for start in range(0, max(1, len(line)), max(1, width))
    ]
    return [Text(line, no_wrap=True) for line in own[:most]]
