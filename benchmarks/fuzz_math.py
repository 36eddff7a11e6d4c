"""Random answers against the mathematics verifier: no exception, no long wait, no growth.

python -m benchmarks.fuzz_math N [--seed S] [--slow SECONDS]

Answers are put together from pieces of LaTeX, from right answers with small changes, and from
arbitrary characters. Ends with code 1 if one made the verifier raise, break, accept what is
impossible, or take longer than SECONDS of processor time. Prints the slowest, and by how much the
memory grew after the first tenth.
"""

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

from verifiers import math
from verifiers.verdict import Outcome

GOLDS = (
    "7", "-3", "\\frac{3}{4}", "0.5", "x^2+1", "\\{1,2\\}", "\\sqrt{2}", "(1,2)", "[0,\\infty)",
    "2\\pi", "x>3", "y=2x+1", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\text{even}", "B",
    "25\\%", "5\\text{ cm}", "45^\\circ", "\\sin x", "e^{2x}", "3+4i", "\\pm 2", "1010_2", "2:3",
    "\\ln 2", "\\frac{x^3}{3}+C", "1,2,\\ldots,n", "\\binom{n}{2}", "\\emptyset", "\\infty",
)  # fmt: skip
PIECES = (
    *"0123456789xynCei", "+", "-", "*", "/", "^", "_", "=", "<", ">", "(", ")", "[", "]", "{", "}",
    "|", "!", ",", ";", ":", ".", "'", "%", "$", "&", "~", "\\", " ", "\n", "\\%", "\\$", "\\{",
    "\\}", "\\,", "\\!", "\\\\", "\\frac{", "\\frac12", "}{", "\\sqrt{", "\\sqrt[3]{", "\\pi",
    "\\infty", "\\cdot ", "\\times ", "\\pm ", "\\mp ", "\\le ", "\\ge ", "\\ne ", "\\approx ",
    "\\in ", "\\cup ", "\\cap ", "\\to ", "\\sin ", "\\cos ", "\\tan ", "\\ln ", "\\log_", "\\exp ",
    "\\sin^{-1}", "\\arctan ", "\\cosh ", "^\\circ", "\\text{", "\\text{ cm}", "\\text{ or }",
    "\\text{ and }", "\\mathrm{", "\\mathbf{i}", "\\mathbb{R}", "\\left(", "\\right)", "\\binom{",
    "\\overline{", "\\begin{pmatrix}", "\\end{pmatrix}", "\\sum_{", "\\int_0^1 ", "\\lim_{",
    "\\lfloor ", "\\rfloor ", "\\boxed{", "\\color{red}", "^{10^{", "9^{9^{9}}", "(10^9)!", "^{-1}",
    "1,000", "1\\frac{1}{2}", "3.14", "sqrt(", "\u221a", "\u00b2", "\u0663", "\u200b", "\u202e",
    "\x00", "NaN", "None",
)  # fmt: skip
PROBLEMS = (
    None, "Simplify $\\frac{6}{8}$.", "Give it in centimetres.", "Write $0.5$ as a fraction.",
    "Choose: (A) 1 (B) 2 (C) 3", "What percent is it?", "Expand $(x+1)^2$.",
)  # fmt: skip


def answers(n: int, seed: int) -> Iterator[tuple[str, str, str | None]]:
    """Gold, response and problem, n times."""
    rng = Random(f"fuzz/{seed}")
    for _ in range(n):
        gold = rng.choice(GOLDS)
        kind = rng.random()
        if kind < 0.4:
            text = expression(rng, rng.randint(1, 4))
            if rng.random() < 0.3:
                gold, text = text, changed(text, rng) if rng.random() < 0.7 else f"1{text}/1"
            elif rng.random() < 0.3:
                text = f"{gold}+{text}-({text})"
        elif kind < 0.6:
            text = "".join(rng.choices(PIECES, k=rng.randint(1, 25)))
        elif kind < 0.9:
            text = changed(rng.choice(GOLDS), rng)
        else:
            text = "".join(chr(rng.randrange(1, 0x2FFF)) for _ in range(rng.randint(1, 40)))
        if rng.random() < 0.02:
            text *= rng.randint(10, 400)
        response = text if rng.random() < 0.05 else f"So it is $\\boxed{{{text}}}$."
        yield gold, response, rng.choice(PROBLEMS)


def expression(rng: Random, depth: int) -> str:
    """A well-formed expression, list, relation or interval."""
    if depth == 0:
        return rng.choice(
            ("1", "2", "7", "12", "0.5", "10^{99}", "x", "y", "n", "\\pi", "e", "i", "0")
        )

    def part() -> str:
        return expression(rng, depth - 1 if rng.random() < 0.8 else 0)

    forms = (
        "{}+{}", "{}-{}", "{}{}", "{}\\cdot{}", "\\frac{{{}}}{{{}}}", "({})^{{{}}}", "\\sqrt{{{}}}",
        "\\sqrt[3]{{{}}}", "({})!", "\\binom{{{}}}{{2}}", "|{}|", "\\sin({})", "\\cos({})",
        "\\tan({})", "\\ln({})", "\\log_2({})", "e^{{{}}}", "2^{{{}}}", "-({})", "({})({})",
        "\\arctan({})", "\\cosh({})", "\\lfloor {}\\rfloor", "({})^{{1/2}}", "({})^{{-3}}",
        "({},{})", "\\{{{},{}\\}}", "{}={}", "{}<{}", "{}, {}", "{}\\pm {}", "x={}",
    )  # fmt: skip
    form = rng.choice(forms if rng.random() < 0.3 else forms[:25])
    return form.format(*(part() for _ in range(form.count("{}"))))


def changed(text: str, rng: Random) -> str:
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice((*PIECES, "")) + text[at + rng.randint(0, 2) :]
    return text


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz_math")
    parser.add_argument("n", type=int, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=5.0, help="processor seconds for one input")
    arguments = parser.parse_args()
    math.preload()
    outcomes: Counter[str] = Counter()
    slowest: list[tuple[float, str, str]] = []
    wrong: list[str] = []
    grown_from = 0
    for number, (gold, response, problem) in enumerate(answers(arguments.n, arguments.seed)):
        begin = time.process_time()
        try:
            verdict = math.verify_math(gold, response, problem)
        except Exception as error:  # what this is looking for
            wrong.append(f"{type(error).__name__}: {error}: {gold!r}, {response!r}")
            continue
        seconds = time.process_time() - begin
        outcomes[verdict.outcome] += 1
        slowest = sorted([*slowest, (seconds, gold, response)], reverse=True)[:5]
        if (verdict.outcome is Outcome.BROKEN and gold in GOLDS) or seconds > arguments.slow:
            wrong.append(f"{verdict.outcome} after {seconds:.1f} s: {gold!r}, {response!r}")
        if number == arguments.n // 10:
            grown_from = peak_mib()
    print(f"{arguments.n:,} inputs: {dict(outcomes)}")
    print(f"peak memory {peak_mib()} MiB, {peak_mib() - grown_from} MiB after the first tenth")
    for seconds, gold, response in slowest:
        print(f"  {seconds * 1000:8.1f} ms  {gold!r}  {response[:120]!r}")
    print(f"{len(wrong)} raised, broke or were slow", *wrong[:50], sep="\n  ")
    return 1 if wrong else 0


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
