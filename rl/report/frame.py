"""One picture of a run for a terminal: sparklines, the last verdicts, an answer, the keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import chop_cells
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rl.progress import printable
from rl.report.curves import CURVES, Curve, Line, values
from rl.report.follow import Follower
from rl.report.read import Row, number_at
from rl.report.sections import last_forecast
from verifiers.verdict import Outcome

BARS = "▁▂▃▄▅▆▇█"
COLOURS = {"correct": "green", "partial": "bright_green", "wrong": "red", "unparsed": "yellow",
           "exceeded": "magenta", "broken": "bold red"}  # fmt: skip
KEYS = "q leave   j/k older, newer answer   v next verdict   n newest"
VERDICT_CELLS = 40  # of the bar of verdicts, where there is room
ANSWER_LINES = 8  # that curves leave to the answer where the terminal is low


@dataclass
class View:
    """What is looked at, and how."""

    name: str
    steps: int
    run: Follower
    ended: str | None = None
    verdict: str | None = None  # only answers with this one; None: all
    chosen: str | None = None  # id of the answer; None: the newest

    def press(self, key: str) -> None:
        """Keys that mean nothing do nothing."""
        match key:
            case "j":
                self._choose(self.place + 1)
            case "k":
                self._choose(self.place - 1)
            case "n":
                self.chosen = None
            case "v":
                kinds = [None, *map(str, Outcome)]
                self.verdict = kinds[(kinds.index(self.verdict) + 1) % len(kinds)]
                self.chosen = None

    def answers(self) -> list[Row]:
        """Those of the chosen verdict, newest first; without those to canaries, which have none."""
        return [
            row
            for row in reversed(self.run.answers)
            if self.verdict in (None, row["outcome"]) and row["split"] != "canary"
        ]

    @property
    def place(self) -> int:
        """Of the chosen answer among `answers`: it stays chosen while newer ones come."""
        if self.chosen is None:
            return 0
        ids = [row["id"] for row in self.answers()]
        return ids.index(self.chosen) if self.chosen in ids else max(0, len(ids) - 1)

    def _choose(self, place: int) -> None:
        found = self.answers()[: max(0, place) + 1]
        self.chosen = found[-1]["id"] if found and place > 0 else None


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
    head = [_title(view), _verdicts(view, width)]
    forecast = last_forecast(view.run.evals)
    if forecast is not None:
        # As high as it gets, no end of it is cut off.
        text = _line(f"forecast: {forecast}")
        head.append(Text(text, style="dim", no_wrap=height is not None))
    if height is None:
        return Group(*head, _curves(view, width, None), *_answer(view, width, 12))
    room = max(0, height - len(head) - 1)
    curves = _curves(view, width, min(room, max(3, room - ANSWER_LINES)))
    answer = _answer(view, width, room - curves.row_count)
    return Group(*head, curves, *answer, Text(KEYS, style="dim", no_wrap=True))


def _title(view: View) -> Text:
    metrics = view.run.metrics
    step = metrics[-1]["step"] if metrics else 0
    text = f"{view.name}  step {step}/{view.steps}"
    if view.ended is not None:
        text += f"  {view.ended}"
    elif not metrics:
        text += "  no step is finished yet"
    return Text(printable(text), style="bold", no_wrap=True)


def _curves(view: View, width: int, most: int | None) -> Table:
    """A line of bars for every figure that the run has, the first `most` of them."""
    rows = {"metrics": view.run.metrics, "evals": view.run.evals}
    found = []
    for curve in CURVES:
        for line in curve.lines:
            numbers = values(rows.get(curve.source, []), line.path)
            if numbers:
                name = curve.title if len(curve.lines) == 1 else f"{curve.title}, {line.label}"
                found.append((name, curve, numbers, _last(curve, line, rows[curve.source])))
    found = found[:most]
    table = Table.grid(padding=(0, 1))
    if not found:
        return table
    beside = max(len(name) for name, *_ in found) + max(len(last) for *_, last in found) + 2
    for name, curve, numbers, last in found:
        ends = (0.0, 1.0) if curve.share else (min(numbers), max(numbers))
        table.add_row(
            Text(name, style="dim", no_wrap=True),
            Text(sparkline(numbers, max(8, width - beside), *ends), style="cyan", no_wrap=True),
            Text(last, no_wrap=True),
        )
    return table


def _last(curve: Curve, line: Line, rows: Sequence[Row]) -> str:
    """The newest value, with its interval where it has one."""
    row = next(row for row in reversed(rows) if number_at(row, line.path) is not None)
    value = _shown(curve, number_at(row, line.path))
    if line.band is None:
        return value
    low, high = (_shown(curve, number_at(row, f"{line.band}.{end}")) for end in ("low", "high"))
    return f"{value} [{low}, {high}]"


def _shown(curve: Curve, value: float | None) -> str:
    if value is None:
        return "open"
    return f"{value:.1%}" if curve.share else f"{value:.4g}"


def _verdicts(view: View, width: int) -> Text:
    """The last step's, as a bar and in per cent."""
    bar = Text(no_wrap=True)
    if not view.run.metrics:
        return bar
    last = view.run.metrics[-1]
    shares = [(str(o), number_at(last, f"outcomes.{o}") or 0.0) for o in Outcome]
    there = [(outcome, min(1.0, share)) for outcome, share in shares if share > 0]
    for outcome, share in there:
        bar.append("█" * round(share * min(VERDICT_CELLS, width // 3)), style=COLOURS[outcome])
    for outcome, share in there:
        bar.append(f"  {outcome} {share:.1%}", style=COLOURS[outcome])
    return bar


def _answer(view: View, width: int, lines: int) -> list[Text]:
    """The answer that is looked at, in at most so many lines; none where they would not do."""
    if lines < 4:
        return []
    kind = f" {view.verdict}" if view.verdict else ""
    found = view.answers()
    if not found:
        return [Text(f"no{kind} answer yet", style="dim")]
    place = view.place
    row = found[place]
    became = f", skipped: {row['skipped']}" if row["skipped"] else ", trained on"
    head = (
        f"{row['outcome']}: {row['env']}, {row['split']}, step {row['step']}"
        f"{'' if row['trained'] is None else became}"
        f" ({place + 1} of the last {len(found)}{kind})"
    )
    question = row["prompt"].rpartition("\n\n[user]\n")[2]
    texts = [
        Text(_line(head), style=COLOURS[row["outcome"]], no_wrap=True),
        Text(_line(f"prompt  {question}"), style="dim", no_wrap=True),
        *_wrapped(row["response"], width, lines - 3),
    ]
    if row["detail"]:
        texts.append(Text(_line(f"reason  {row['detail']}"), style="dim", no_wrap=True))
    for text in texts:
        text.truncate(width, overflow="ellipsis")
    return texts


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _wrapped(text: str, width: int, most: int) -> list[Text]:
    """A text of a policy in lines, the last ones left out."""
    own = [
        cells
        for line in printable(text[: most * width]).expandtabs().splitlines() or [""]
        for cells in chop_cells(line, width) or [""]
    ]
    return [Text(cells, no_wrap=True) for cells in own[:most]]
