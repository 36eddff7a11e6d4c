"""The mathematics verifier on labelled answers, beside Math-Verify in the same run.

python -m benchmarks.verifiers_math --data DIR [--cases FILE] [--peer PYTHON] [--limit N]

DIR holds JSON lines with gold and response (or solution), label (missing: right), question:
GSM8K, MATH-500 and the like. FILE holds hostile and honest cases (problem, gold, response, expect,
level). PYTHON is an interpreter of another environment that has math-verify. Prints Markdown: what
share of right and of wrong answers each accepts, verifications per second of processor time (both
sides in turns, batch by batch), whether short cuts change a verdict, and how often the two
witnesses of equality disagree.
"""

import argparse
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from verifiers import algebra, math
from verifiers.forms import is_expression, is_plain
from verifiers.latex import read
from verifiers.numerals import tidy
from verifiers.rules import MathRules
from verifiers.tokens import NotMathematics
from verifiers.units import quantity
from verifiers.verdict import Outcome

PEER = Path(__file__).with_name("math_verify_peer.py")
BATCH = 50
RULES = {  # of sets whose answers are written in a way of their own
    "gsm8k_model_solutions_labelled": MathRules(markers=("####", "A:")),
    "mathverify_unit_cases": MathRules(bare=True),
}


class Answer(NamedTuple):
    gold: str
    response: str
    problem: str | None
    right: bool


class Peer:
    """Math-Verify in a process of its own; `judge` waits for the answers to one batch."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), str(PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def judge(self, answers: list[Answer]) -> list[tuple[bool, float]]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([[a.gold, a.response] for a in answers]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PEER.name} ended with code {self._process.wait()}")
        return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, required=True, help="directory of JSON lines")
    parser.add_argument("--cases", type=Path, help="file of hostile and honest cases")
    parser.add_argument("--peer", type=Path, help="Python of an environment with math-verify")
    parser.add_argument("--show", type=int, default=0, help="disagreements to print per set")
    parser.add_argument("--limit", type=int, help="answers of each set, spread evenly over it")
    parser.add_argument("--sets", nargs="*", help="names of files to read; by default all")
    arguments = parser.parse_args()
    math.preload()
    peer = Peer(arguments.peer) if arguments.peer else None
    sets = dict(labelled_sets(arguments.data, arguments.sets))
    if arguments.cases:
        sets |= dict(case_sets(arguments.cases))
    if arguments.limit:
        sets = {
            name: answers[:: max(1, len(answers) // arguments.limit)]
            for name, answers in sets.items()
        }
    print(speed(speed_sets(sets), peer), flush=True)
    print(rates(sets, peer, arguments.show), flush=True)
    print(short_cuts(sets), flush=True)
    print(witnesses(sets), flush=True)
    if peer is not None:
        peer.close()


def labelled_sets(directory: Path, names: list[str] | None) -> Iterator[tuple[str, list[Answer]]]:
    for file in sorted(directory.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.open()]
        if (names and file.stem not in names) or "gold" not in rows[0]:
            continue
        answers = []
        for row in rows:
            # Where there is no text to read the answer from, it is the gold answer itself.
            response = row.get("response") or row.get("solution") or f"\\boxed{{{row['gold']}}}"
            if row["gold"]:
                right = bool(row.get("label", True))
                answers.append(Answer(row["gold"], response, row.get("question"), right))
        yield file.stem, answers
        if all(answer.right for answer in answers):
            golds = [answer.gold for answer in answers]
            yield (
                f"{file.stem}, another's answer",
                [
                    Answer(a.gold, f"\\boxed{{{other}}}", a.problem, False)
                    for a, other in zip(answers, golds[1:] + golds[:1], strict=True)
                    if tidy(a.gold) != tidy(other)
                ],
            )


def case_sets(file: Path) -> Iterator[tuple[str, list[Answer]]]:
    found: dict[str, list[Answer]] = {}
    for row in map(json.loads, file.open()):
        kind = "honest" if row["expect"] else "hostile"
        answer = Answer(row["gold"], row["response"], row["problem"], row["expect"])
        found.setdefault(f"cases: {row['level']}, {kind}", []).append(answer)
    yield from sorted(found.items())


def ours(answer: Answer, rules: MathRules, short_cuts: bool = True) -> bool:
    function = math.verify_math if short_cuts else math.verify_without_short_cuts
    verdict = function(answer.gold, answer.response, answer.problem, rules)
    return verdict.outcome is Outcome.CORRECT


def rates(sets: dict[str, list[Answer]], peer: Peer | None, show: int) -> str:
    lines = [
        "| set | answers | right: accepted by us | by Math-Verify | wrong: accepted by us "
        "| by Math-Verify |",
        "|---|---|---|---|---|---|",
    ]
    shown: list[str] = []
    for name, answers in sets.items():
        rules = RULES.get(name, math.MathRules())
        mine = [ours(answer, rules) for answer in answers]
        theirs = _peer_verdicts(peer, answers) if peer else [None] * len(answers)
        cells = [name, str(len(answers))]
        for right in (True, False):
            chosen = [i for i, answer in enumerate(answers) if answer.right is right]
            for verdicts in (mine, theirs):
                known = [verdicts[i] for i in chosen if verdicts[i] is not None]
                cells.append(f"{sum(map(bool, known))} of {len(known)}" if known else "")
        lines.append("| " + " | ".join([*cells[:3], cells[3], *cells[4:]]) + " |")
        off = [i for i, a in enumerate(answers) if mine[i] != a.right]
        shown += [
            f"{name}: {answers[i].gold!r}, {answers[i].response[-150:]!r}" for i in off[:show]
        ]
    return "\n".join([*lines, "", *(f"- {line}" for line in shown)])


def _peer_verdicts(peer: Peer, answers: list[Answer]) -> list[bool]:
    batches = (answers[i : i + BATCH] for i in range(0, len(answers), BATCH))
    return [accepted for batch in batches for accepted, _ in peer.judge(batch)]


def speed_sets(sets: dict[str, list[Answer]]) -> dict[str, list[Answer]]:
    rng = Random("speed")
    text = "We simplify step by step.\n\nThe final answer is $\\boxed{%s}$."
    found: dict[str, list[Answer]] = {}
    for _ in range(300):
        x, y = rng.randint(2, 99_999), rng.randint(2, 999)
        pairs = {
            "integers": (f"{x}", f"{x}"),
            "fractions": (f"\\frac{{{x}}}{{{y}}}", f"\\dfrac{{{x}}}{{{y}}}"),
            "decimals": (f"{x}.{y}", f"{x}.{y}0"),
            "wrong integers": (f"{x}", f"{x + y}"),
            "short LaTeX: roots": (f"{y}\\sqrt{{{x}}}", f"{y} \\sqrt{{{x}}}"),
            "short LaTeX: pairs": (f"({x},{y})", f"\\left({x}, {y}\\right)"),
            "short LaTeX: multiples of pi": (f"{x}\\pi", f"{x} \\pi"),
        }
        for name, (gold, answer) in pairs.items():
            found.setdefault(name, []).append(Answer(gold, text % answer, None, True))
    honest = [a for name, answers in sets.items() if name.endswith("honest") for a in answers]
    return found | ({"honest cases": honest} if honest else {})


def speed(sets: dict[str, list[Answer]], peer: Peer | None) -> str:
    """Median over batches of the verifications per second of processor time, in turns."""
    lines = [
        "| answers | ours, per processor second | Math-Verify | times as many |",
        "|---|---|---|---|",
    ]
    rules = MathRules()
    for name, answers in sets.items():
        mine: list[float] = []
        theirs: list[float] = []
        for i in range(0, len(answers), BATCH):
            batch = answers[i : i + BATCH]
            begin = time.process_time()
            for answer in batch:
                ours(answer, rules)
            mine.append((time.process_time() - begin) / len(batch))
            if peer:
                theirs.append(sum(seconds for _, seconds in peer.judge(batch)) / len(batch))
        rate = 1 / median(mine)
        other = 1 / median(theirs) if theirs else None
        beside = f"{other:,.0f} | {rate / other:.1f}" if other else " | "
        lines.append(f"| {name} | {rate:,.0f} | {beside} |")
    return "\n".join(lines)


def short_cuts(sets: dict[str, list[Answer]]) -> str:
    checked, changed = 0, list[str]()
    for name, answers in sets.items():
        rules = RULES.get(name, MathRules())
        for answer in answers:
            checked += 1
            if ours(answer, rules) != ours(answer, rules, short_cuts=False):
                changed.append(f"- {answer.gold!r}, {answer.response[-150:]!r}")
    return "\n".join([f"Short cuts changed {len(changed)} of {checked:,} verdicts.", *changed, ""])


def witnesses(sets: dict[str, list[Answer]]) -> str:
    """How often algebra and numbers agree about pairs of expressions."""
    counts: Counter[tuple[str, str, str]] = Counter()
    shown: list[str] = []
    words = {True: "equal", False: "different", None: "undecided"}
    for gold, answer in expressions(a for answers in sets.values() for a in answers):
        try:
            found = algebra.witnesses(gold, answer)
        except algebra.TooLarge:
            continue
        said = words[found.symbolic], found.by, words[found.numeric]
        counts[said] += 1
        if found.symbolic != found.numeric and (found.symbolic or found.numeric):
            shown.append(
                f"- {said[0]} by {said[1]}, {said[2]} by numbers: {gold} and {answer}"[:300]
            )
    lines = [f"| {a} | {by} | {b} | {n} |" for (a, by, b), n in sorted(counts.items())]
    header = ["| algebra says | by | numbers say | pairs of expressions |", "|---|---|---|---|"]
    return "\n".join([*header, *lines, "", *shown[:50]])


def expressions(answers: Iterable[Answer]) -> Iterator[tuple[Any, Any]]:
    """The pairs of gold and answer that are expressions and no plain numbers."""
    for answer in answers:
        final = math.final_answer(answer.response)
        try:
            trees = [read(quantity(tidy(text)).value) for text in (answer.gold, final or "")]
        except NotMathematics:
            continue
        if all(is_expression(tree) for tree in trees) and not is_plain(trees[0]):
            yield trees[0], trees[1]


if __name__ == "__main__":
    main()
