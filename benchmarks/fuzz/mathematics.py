"""Answers to mathematics: pieces of LaTeX, right answers with small changes, expressions by a
grammar, arbitrary characters; and the same for the two narrow verifiers beside it."""

import ast
import re
from zlib import crc32

from benchmarks.fuzz.choices import Choices
from benchmarks.fuzz.target import Target, require
from verifiers import math
from verifiers.literal import verify_literal
from verifiers.strict import verify_plain
from verifiers.verdict import Outcome

ALSO_THE_LONG_WAY = 8  # every so many-th answer is judged again, and without short cuts
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
    "\x00", "NaN", "None", "####", "answer is ", "Answer: ", "<think>", "</think>", "\ud800",
)  # fmt: skip
PROBLEMS = (
    None, "Simplify $\\frac{6}{8}$.", "Give it in centimetres.", "Write $0.5$ as a fraction.",
    "Choose: (A) 1 (B) 2 (C) 3", "What percent is it?", "Expand $(x+1)^2$.",
)  # fmt: skip
ATOMS = ("1", "2", "7", "12", "0.5", "10^{99}", "x", "y", "n", "\\pi", "e", "i", "0")
FORMS = (
    "{}+{}", "{}-{}", "{}{}", "{}\\cdot{}", "\\frac{{{}}}{{{}}}", "({})^{{{}}}", "\\sqrt{{{}}}",
    "\\sqrt[3]{{{}}}", "({})!", "\\binom{{{}}}{{2}}", "|{}|", "\\sin({})", "\\cos({})",
    "\\tan({})", "\\ln({})", "\\log_2({})", "e^{{{}}}", "2^{{{}}}", "-({})", "({})({})",
    "\\arctan({})", "\\cosh({})", "\\lfloor {}\\rfloor", "({})^{{1/2}}", "({})^{{-3}}",
    "({},{})", "\\{{{},{}\\}}", "{}={}", "{}<{}", "{}, {}", "{}\\pm {}", "x={}",
)  # fmt: skip
N_EXPRESSIONS = 25  # of the forms above; the others are lists, relations and the like
VALUES = ("7", "-1.50", "[1, 'a']", "{'a': [True, None]}", "(1, 2.0)", '"it is"', "[]", "''")
LITERALS = (
    *"0123456789ab", "'", '"', "[", "]", "(", ")", "{", "}", ",", ":", ".", "-", " ", "\n", "\\",
    "True", "None", "1e9", "\\boxed{", "Answer: ", "__import__('os')", "\u0663", "\x00",
)  # fmt: skip


def expression(choices: Choices, depth: int) -> str:
    """A well-formed expression, list, relation or interval."""
    if depth == 0:
        return choices.one_of(ATOMS)

    def part() -> str:
        return expression(choices, 0 if choices.chance(20) else depth - 1)

    form = choices.one_of(FORMS if choices.chance(30) else FORMS[:N_EXPRESSIONS])
    return form.format(*(part() for _ in range(form.count("{}"))))


def answers(choices: Choices) -> tuple[str, str, str | None]:
    """Gold, response and problem."""
    gold, kind = choices.one_of(GOLDS), choices.below(10)
    if kind < 4:
        text = expression(choices, choices.between(1, 4))
        if choices.chance(30):
            gold, text = text, choices.changed(text, PIECES)
        elif choices.chance(30):
            text = f"{gold}+{text}-({text})"
    elif kind < 6:
        text = choices.pieces(PIECES, 25)
    elif kind < 9:
        text = gold if choices.chance(50) else choices.one_of(GOLDS)
        text = text if choices.chance(30) else choices.changed(text, PIECES)
    else:
        text = choices.characters(40)
    text = choices.repeated(text)
    problem = choices.one_of(PROBLEMS)
    if problem is not None and choices.chance(10):
        problem = choices.changed(problem, PIECES)
    if choices.chance(5):
        return gold, choices.changed(text, PIECES), problem
    return gold, f"So it is $\\boxed{{{text}}}$.", problem


def judge(gold: str, response: str, problem: str | None) -> str:
    """A reference answer that can be read never ends as broken; a verdict is the same at a second
    look, and right the long way round if it was right by a short cut."""
    verdict = math.verify_math(gold, response, problem)
    if gold in GOLDS:
        require(verdict.outcome is not Outcome.BROKEN, f"broken: {verdict.detail}")
    sampled = crc32(response.encode("utf-8", "replace")) % ALSO_THE_LONG_WAY == 0
    if sampled and verdict.outcome is not Outcome.BROKEN:
        require(math.verify_math(gold, response, problem) == verdict, "another verdict next time")
        long = math.verify_without_short_cuts(gold, response, problem)
        same = (long.outcome is Outcome.CORRECT) == (verdict.outcome is Outcome.CORRECT)
        require(same, f"{verdict.outcome}, but {long.outcome} without short cuts: {long.detail}")
    return verdict.outcome


def values(choices: Choices) -> tuple[str, str]:
    gold = choices.one_of(VALUES)
    kind = choices.below(3)
    text = gold if kind == 0 else choices.pieces(LITERALS, 30)
    if kind == 1:
        text = choices.characters(30)
    text = choices.repeated(choices.changed(text, LITERALS) if choices.chance(60) else text)
    return gold, f"\\boxed{{{text}}}" if choices.chance(90) else text


def judge_literal(gold: str, response: str) -> str:
    verdict = verify_literal(gold, response)
    if verdict.outcome is Outcome.CORRECT and len(response) < 1000:
        found = ast.literal_eval(str(verdict.answer).strip())
        require(repr(found) == repr(ast.literal_eval(gold)), f"{verdict.answer!r} for {gold}")
    return verdict.outcome


def numbers(choices: Choices) -> tuple[str, str]:
    gold = str(choices.between(0, 999) - 400)
    answer = choices.changed(gold, PIECES) if choices.chance(50) else gold
    response = f"So it is \\boxed{{{answer}}}."
    if choices.chance(60):
        response = choices.changed(response, PIECES)
    return gold, choices.repeated(response, 5)


def judge_number(gold: str, response: str) -> str:
    verdict = verify_plain(gold, response)
    if verdict.outcome is Outcome.CORRECT:
        digits = "".join(re.findall(r"[-\d.]", str(verdict.answer)))
        require(float(digits) == int(gold), f"accepted {verdict.answer!r} for {gold}")
    return verdict.outcome


TARGETS = (
    Target("math", "verify_math", answers, judge, math.preload),
    Target("literal", "verify_literal", values, judge_literal),
    Target("strict", "verify_plain", numbers, judge_number),
)
