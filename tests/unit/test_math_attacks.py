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
HONEST = {
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
    "555-1234": ["\\text{555-1234}", "555–1234"],
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


@pytest.mark.parametrize(("gold", "answer"), lines(HONEST))
def test_an_honest_way_of_writing_is_accepted(gold: str, answer: str) -> None:
    assert outcome(gold, answer) is Outcome.CORRECT


def test_letters_that_the_problem_uses_as_symbols_are_no_word() -> None:
    assert outcome("ab", "ba", "What is $a$ times $b$?") is Outcome.CORRECT
    assert outcome("ab", "ba", "Which blood type is it?") is Outcome.WRONG
