"""The mathematics verifier on labelled answers, beside Math-Verify in the same run.

python -m benchmarks.labelled --data DIR [--cases FILE] [--limit N] [--alone]

DIR holds JSON lines with gold and response (or solution), label (missing: right), question:
GSM8K, MATH-500 and the like. FILE holds hostile and honest cases (problem, gold, response, expect,
level). Prints Markdown: what share of right and of wrong answers each accepts, whether short cuts
change a verdict, and how often the two witnesses of equality disagree. Math-Verify is installed
into an environment of its own at the first call; --alone does without. How fast both are is
measured by `python -m benchmarks verifiers`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.harness import scratch_directory
from benchmarks.math_answers import Answer, MathVerify, cases, math_verify, ours
from verifiers import algebra, math
from verifiers.forms import is_expression, is_plain
from verifiers.latex import read
from verifiers.numerals import tidy
from verifiers.rules import MathRules
from verifiers.tokens import NotMathematics
from verifiers.units import quantity

BATCH = 50
RULES = {  # of sets whose answers are written in a way of their own
    "gsm8k_model_solutions_labelled": MathRules(markers=("####", "A:")),
    "mathverify_unit_cases": MathRules(bare=True),
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.labelled", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of JSON lines")
    parser.add_argument("--cases", type=Path, help="file of hostile and honest cases")
    parser.add_argument("--alone", action="store_true", help="without Math-Verify")
    parser.add_argument("--show", type=int, default=0, help="disagreements to print per set")
    parser.add_argument("--limit", type=int, help="answers of each set, spread evenly over it")
    parser.add_argument("--sets", nargs="*", help="names of files to read; by default all")
    arguments = parser.parse_args()
    math.preload()
    sets = dict(labelled_sets(arguments.data, arguments.sets))
    if arguments.cases:
        sets |= cases(arguments.cases)
    if arguments.limit:
        sets = {
            name: answers[:: max(1, len(answers) // arguments.limit)]
            for name, answers in sets.items()
        }
    with (
        scratch_directory() as scratch,
        nullcontext() if arguments.alone else math_verify(scratch) as peer,
    ):
        print(rates(sets, peer, arguments.show), flush=True)
    print(short_cuts(sets), flush=True)
    print(witnesses(sets), flush=True)


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


def rates(sets: dict[str, list[Answer]], peer: MathVerify | None, show: int) -> str:
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


def _peer_verdicts(peer: MathVerify, answers: list[Answer]) -> list[bool]:
    batches = (answers[i : i + BATCH] for i in range(0, len(answers), BATCH))
    return [accepted for batch in batches for accepted in peer.judge(batch).accepted]


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
