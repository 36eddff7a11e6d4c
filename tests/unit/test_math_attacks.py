r"""What an attacker found accepted, and honest ways of writing that were refused: one line each."""

import pytest

from verifiers.math import verify_math
from verifiers.verdict import Outcome


def outcome(gold: str, answer: str, problem: str | None = None) -> Outcome:
    return verify_math(gold, f"So it is $\\boxed{{{answer}}}$.", problem).outcome


def lines(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(gold, answer) for gold, answers in table.items() for answer in answers]


NUMBER_WORDS = {
    "3": [
        "3\\text{ million}", "3 million", "3\\text{ hundred}", "3\\text{ dozen}", "3 thousand",
        "3\\text{ or more}", "3\\text{ remainder }1",
    ],
    "3\\text{ million}": ["3", "3\\text{ thousand}", "3 dollars", "3\\text{ million}^2"],
    "3\\text{ dozen}": ["3", "36\\text{ dozen}"],
    "2\\text{ thousand dollars}": ["2", "2\\text{ dollars}", "2000\\text{ cents}"],
    "\\$3\\text{ million}": ["3", "\\$3"],
    "5 million": ["5"],
    "3\\text{ or more}": ["3"],
    "5\\text{ below zero}": ["5", "-5"],
    "10\\text{ negative}": ["10"],
    "5\\text{ no solutions}": ["5"],
    "3\\text{ (mod 7)}": ["3", "4"],
}  # fmt: skip
TEXTS = {
    "listen": ["silent"],
    "no": ["on", "n\\cdot o"],
    "No": ["oN"],
    "yes": ["eys", "s y e", "\\text{no}"],
    "odd": ["d^2 o", "ddo"],
    "2023-01-05": ["2017", "2023-1-5+0", "2023-06", "2023-01-06"],
    "01/05/2023": ["1/10115", "\\frac{1}{10115}"],
    "555-1234": ["-679"],
    "7-3": ["4"],
    "June 20": ["June 21", "June 2 0", "20", "June 2.0"],
    "\\text{June } 12": ["\\text{June } 1 2", "\\text{Jun e}12", "\\text{June}{1}{2}"],
    "20 June": ["20 Juen", "20\\cdot uneJ"],
    "6\\text{ feet }3\\text{ inches}": ["6", "3", "6\\text{ feet }4\\text{ inches}", "75"],
    "3\\pmod 7": ["3\\pmod 5", "4\\pmod 7", "10"],
    "2\\text{ remainder }3": ["2", "3", "2\\text{ remainder }4"],
}
APPROXIMATIONS = {
    "2\\sqrt3": ["2\\sqrt3\\approx 7.5", "2\\sqrt3\\approx3.47", "3.46", "x\\approx 3.46"],
    "7.5": ["2\\sqrt3\\approx 7.5", "1+1\\approx 7.5", "x=\\pi\\approx 7.5"],
    "\\pi": ["\\pi\\approx 7.5", "x=\\pi\\approx 3.15", "\\pi\\approx y"],
    "4": ["x\\approx 4", "\\approx 4"],
    "\\frac13": ["\\frac13\\approx 0.4", "\\frac13\\approx 0.334", "0.3\\approx\\frac13"],
    "(1,\\sqrt2)": ["(1,\\sqrt2)\\approx(1,1.5)"],
}
NAMES = {
    "x=1,y=2": ["2,1", "1,2", "x=2,y=1", "(2,1)", "y=1,x=2", "a=1,b=2", "\\{1,2\\}"],
    "x=2\\text{ and }y=3": ["3,2", "x=3\\text{ and }y=2", "(3,2)"],
    "(3,4)": ["(y,x)=(3,4)", "x=4,y=3", "(x,y)=(4,3)", "y=3,x=4", "x=3,y=4,z=5"],
    "(x,y)=(1,2)": ["(y,x)=(1,2)", "(a,b)=(1,2)", "1,2"],
    "1,4": ["x=1,y=4", "a=4,b=1", "\\{x=1,y=4\\}"],
    "\\{1,2\\}": ["x=1,y=2", "\\{x=1,y=2\\}"],
}
CONNECTIVES = {
    "(-\\infty,1)\\cup(2,\\infty)": ["x<1\\text{ and }x>2", "x<1\\land x>2", "2<x<1"],
    "x<1\\text{ or }x>2": ["x<1\\text{ and }x>2", "x<1\\wedge x>2"],
    "(2,1)": ["2<x<1", "x>2\\text{ and }x<1"],
    "-1\\le x\\le2": ["x\\ge-1\\text{ or }x\\le2", "x\\ge-1,x\\le2", "x>-1\\text{ and }x\\le2"],
    "x<3": ["x<3\\text{ and }x<2"],
    "x\\ne2\\text{ and }x\\ne3": ["x\\ne2\\text{ or }x\\ne3", "x\\ne2"],
}
NESTED_SETS = {
    "\\{1,2\\}": [
        "\\{\\{1\\},\\{2\\}\\}", "\\{\\{1,2\\}\\}", "\\{1,\\{2\\}\\}", "\\{1\\},\\{2\\}",
    ],
    "\\{\\{1\\},\\{2\\}\\}": ["\\{1,2\\}", "\\{\\{1,2\\}\\}"],
    "\\{1,2,3\\}": ["\\{1,\\{2,3\\}\\}"],
}  # fmt: skip
LEFT_OVER = {
    "2\\sqrt3": [
        "\\sqrt{2^2+2^2+2^2}", "2\\sqrt3+0", "\\sqrt3+\\sqrt3", "\\sqrt{12}+\\sqrt3-\\sqrt3",
        "\\sqrt{2^2\\cdot 3}", "\\sqrt{4}\\sqrt{3}", "\\sqrt{\\sqrt{144}}", "(1+1)\\sqrt3",
    ],
    "25\\pi": [
        "\\pi(3^2+4^2)", "\\pi\\cdot(10/2)^2", "50\\pi-25\\pi", "\\pi\\cdot5^2", "5\\cdot 5\\pi",
        "\\frac12\\cdot10\\cdot5\\pi", "25\\pi+0\\cdot\\pi",
    ],
    "\\frac{\\sqrt3}{2}": ["\\sqrt{1-\\frac14}", "\\frac{\\sqrt{1+2}}{1+1}"],
    "\\sqrt2": ["\\sqrt{1^2+1^2}", "\\sqrt{2\\cdot1}", "\\sqrt2^{2-1}"],
    "x<3": ["x<2+1", "x<\\sqrt{9}", "2+1>x", "x+0<3"],
    "5x+2": ["2x+1+3x+1", "(2x+1)+(3x+1)", "5x+1+1", "x+4x+2", "5x+2+0", "2+x\\cdot2+x\\cdot 3"],
    "x^2+2x+1": ["(x+1)^2+0\\cdot y", "x^2+x+x+1", "x^2+2^1x+1"],
    "x^2+y^2=25": ["x^2+y^2=5^2", "x^2+y^2=3^2+4^2"],
    "2^{100}": ["2^{50+50}"],
}  # fmt: skip
HEDGES = {
    "4": [
        "\\boxed{4} or maybe 5", "\\boxed{4} or five", "\\boxed{4}, or perhaps five",
        "\\boxed{4} or x",
        "\\boxed{4} is wrong, it is 5", "The answer is not \\boxed{4}", "\\boxed{4}\n#### 5",
        "Answer: $4$, maybe five", "The answer is $4$ or five",
        "\\boxed{4}\n\nNo, the answer is 5.",
        "$-\\boxed4$", "$\\pm\\boxed4$", "$\\boxed4/5$", "\\boxed{4}/5", "$\\sqrt{\\boxed4}$",
        "$x\\ne\\boxed4$", "$\\boxed4\\%$", "$\\boxed{4}^2$", "$\\boxed{4}+1$", "$1\\boxed{4}$",
        "$\\frac{1}{\\boxed{4}}$", "$\\boxed{4}!$", "$\\boxed{4}\\text{ or }5$",
        "\\boxed{4} \u2228 5",
        "$$x=-\\boxed{4}$$", "\\[2\\cdot\\boxed{4}\\]", "\\boxed{4} or about 5",
        "\\boxed{4} and/or 5",
        "\\boxed{4}; alternatively 5", "\\boxed{4}, unless it is 5",
    ],
    "A": ["\\boxed{A} or B", "\\boxed{A}, B", "\\boxed{A} or \\text{B}"],
    "x+1": ["\\boxed{x+1} or x+2", "\\boxed{x+1} or $x+2$"],
    "\\text{Sunday}": ["\\boxed{\\text{Sunday}} or Monday", "$\\boxed{\\text{Sunday}}$ or Monday."],
}  # fmt: skip
PLAINLY = {
    "4": [
        "$x=\\boxed{4}$", "$\\boxed{4}\\text{ cm}$", "So $\\boxed{4}$.",
        "\\boxed{4} or equivalently 4.0",
        "$\\boxed{4}$, or $\\frac{8}{2}$.", "**\\boxed{4}**", "- \\boxed{4}",
        "**Answer** - $\\boxed{4}$",
        "It costs \\$5 - \\$1 = \\$\\boxed{4}.", "\\[x \\implies \\boxed{4}.\\]",
        "$\\boxed{4}^\\circ$",
        "#### Step 1\nAdd.\n#### 2. Check\n$\\boxed{4}$", "\\boxed{4}\n\nThe answer is 4 apples.",
        "$\\boxed{4}$ (since $2+2=4$)", "$a - b$ is \\boxed{4}",
        "\\begin{align*}x&=\\boxed{4}\\\\\\end{align*}",
        "\\boxed{4}\n#### 4", "The answer is not 5 but \\boxed{4}.",
        "$x \\ge 4$, so $\\boxed{4}$",
    ],
    "2\\sqrt3": ["$\\boxed{2\\sqrt3}$ or about $3.46$", "$\\boxed{2\\sqrt3}\\approx 3.46$"],
    "25\\%": ["$\\boxed{25}\\%$", "$\\boxed{25\\%}$"],
    "A": ["\\boxed{A}, because it is even", "$\\boxed{\\text{(A)}} 3(1+r)^x$", "$\\boxed{A} -3$"],
}  # fmt: skip
HONEST = {
    "\\frac{1+\\sqrt5}{2}": [
        "\\frac12+\\frac{\\sqrt5}{2}",
        "\\frac{\\sqrt5+1}{2}",
        "0.5+0.5\\sqrt5",
    ],
    "25\\pi": ["\\pi\\cdot25", "\\frac{50\\pi}{2}", "25\\cdot\\pi"],
    "\\sqrt3": ["3^{1/2}", "3^{0.5}", "\\frac{3}{\\sqrt3}"],
    "x^2+2x+1": ["(x+1)^2", "x(x+2)+1", "2x+x^2+1", "(x+1)(x+1)"],
    "x^3-1": ["(x-1)(x^2+x+1)"],
    "2x+1": ["2(x-1)+3", "\\frac{4x+2}{2}"],
    "2i": ["0+2i", "2i+0"],
    "\\frac{x}{2}+\\frac{y}{3}": ["\\frac{3x+2y}{6}", "0.5x+\\frac13y"],
    "2^{100}": ["2^{100}", "4^{50}", "2\\cdot2^{99}"],
    "\\frac{n(n+1)(2n+1)}{6}": ["\\frac{2n^3+3n^2+n}{6}"],
    "e^{2\\pi i/3}": ["-\\frac12+\\frac{\\sqrt3}{2}i"],
    "1.5\\times10^{3}\\pi": ["1500\\pi"],
    "x^2+y^2=25": ["x^2+y^2-25=0", "25=x^2+y^2"],
    "x=1,y=2": ["y=2,x=1", "(1,2)", "(x,y)=(1,2)", "x=1\\text{ and }y=2", "(y,x)=(2,1)"],
    "(3,4)": ["(x,y)=(3,4)", "x=3,y=4", "y=4, x=3", "(m,b)=(3,4)", "(y,x)=(4,3)"],
    "1,4": ["x=1,x=4", "x_1=1,x_2=4", "x=4\\text{ or }x=1", "4,1"],
    "-1\\le x\\le 2": ["x\\ge-1\\text{ and }x\\le2", "x\\le 2\\land -1\\le x", "[-1,2]"],
    "(1,2)": ["x>1\\text{ and }x<2", "1<x<2"],
    "(-\\infty,1)\\cup(2,\\infty)": ["x<1\\text{ or }x>2", "x<1, x>2"],
    "x\\ne2\\text{ and }x\\ne3": ["x\\ne3, x\\ne2", "x\\ne2\\land x\\ne3"],
    "\\{\\{1\\},\\{2\\}\\}": ["\\{\\{2\\},\\{1\\}\\}"],
    "\\{1,-1,2\\}": ["\\{\\pm1,2\\}", "\\pm 1,2"],
    "\\frac13": ["\\frac13\\approx0.33", "x=\\frac{1}{3}\\approx 0.333"],
    "2\\sqrt3": ["2\\sqrt3\\approx3.46", "x=\\sqrt{12}=2\\sqrt3\\approx 3.4641"],
    "3.14": ["x\\approx 3.14", "\\pi\\approx3.14", "3.14"],
    "(1,\\sqrt2)": ["(1,\\sqrt2)\\approx(1,1.41)"],
    "3000000": ["3\\text{ million}", "3 million", "\\$3\\text{ million}"],
    "3\\text{ million}": ["3000000", "3,000,000", "3\\times10^6", "3 million"],
    "1.5\\text{ million dollars}": ["1500000", "\\$1.5 million", "1{,}500{,}000\\text{ dollars}"],
    "36": ["3\\text{ dozen}"],
    "yes": ["Yes", "\\text{Yes}", "yes", "\\text{yes.}"],
    "No": ["no", "\\text{No}"],
    "June 20": ["\\text{June 20}", "\\text{June } 20", "june 20"],
    "2023-01-05": ["2023-01-05", "\\text{2023-01-05}", "2023 - 01 - 05"],
    "555-1234": ["\\text{555-1234}", "555\u20131234"],
    "3\\pmod 7": ["3 \\pmod{7}", "3\\ \\pmod 7"],
    "6\\text{ feet }3\\text{ inches}": ["6 feet 3 inches", "\\text{6 feet 3 inches}"],
    "2\\text{ remainder }3": ["2 \\text{ remainder } 3", "2 remainder 3"],
    "xy": ["yx", "x\\cdot y"],
    "5\\text{ red cars}": ["5", "5 red cars"],
}


@pytest.mark.parametrize(("gold", "answer"), lines(NUMBER_WORDS))
def test_a_number_word_is_no_unit(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(TEXTS))
def test_words_dates_and_codes_are_not_computed(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(APPROXIMATIONS))
def test_an_approximation_beside_the_value_must_be_true(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(NAMES))
def test_the_names_of_several_unknowns_count(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(CONNECTIVES))
def test_and_is_not_or(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(NESTED_SETS))
def test_a_set_in_a_set_is_one_member(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "answer"), lines(LEFT_OVER))
def test_what_is_left_to_compute_is_not_written_out(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED, Outcome.EXCEEDED)


@pytest.mark.parametrize(("gold", "response"), lines(HEDGES))
def test_what_stands_beside_the_box_is_read(gold: str, response: str) -> None:
    assert verify_math(gold, response).outcome in (Outcome.WRONG, Outcome.UNPARSED)


@pytest.mark.parametrize(("gold", "response"), lines(PLAINLY))
def test_words_and_signs_around_the_box_are_no_other_answer(gold: str, response: str) -> None:
    assert verify_math(gold, response).outcome is Outcome.CORRECT


def test_a_percent_sign_behind_the_box_belongs_to_it() -> None:
    problem = "What percent of 80 is 20?"
    assert verify_math("25", "$\\boxed{25}\\%$", problem).outcome is Outcome.CORRECT
    assert verify_math("25", "$\\boxed{25}\\%$").outcome is Outcome.WRONG


@pytest.mark.parametrize(("gold", "answer"), lines(HONEST))
def test_an_honest_way_of_writing_is_accepted(gold: str, answer: str) -> None:
    assert outcome(gold, answer) is Outcome.CORRECT


def test_letters_that_the_problem_uses_as_symbols_are_no_word() -> None:
    assert outcome("ab", "ba", "What is $a$ times $b$?") is Outcome.CORRECT
    assert outcome("ab", "ba", "Which blood type is it?") is Outcome.WRONG
