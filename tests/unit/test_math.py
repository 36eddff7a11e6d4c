"""Exact-answer mathematics: what is accepted, what is refused, and at what cost."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.answer import final_answer
from verifiers.latex import read
from verifiers.math import VERSION, verify_math, verify_without_short_cuts
from verifiers.numerals import numeral
from verifiers.rational import TooLarge, rational
from verifiers.tokens import NotMathematics
from verifiers.verdict import Outcome

ROOT = Path(__file__).parents[2]


def outcome(gold: str, answer: str) -> Outcome:
    return verify_math(gold, f"So it is $\\boxed{{{answer}}}$.").outcome


ACCEPTED = {
    "42": [
        "42", " 42 ", "42.", "42.0", "+42", "042", "x=42", "f(3) = 42", "\\text{42}", "\\ 42\\ ",
        "\\left(42\\right)", "\\displaystyle 42", "$42$", "42\\text{ cm}", "\\$42",
        "4.2\\times 10^1", "42^\\circ", "42 \\text{ square meters}",
    ],
    "-5": ["-5", "\u22125", "- 5", "(-5)", "x = -5.0"],
    "\\frac{3}{4}": [
        "3/4", "0.75", ".75", "\\dfrac34", "\\frac34", "\\frac{-3}{-4}", "75\\%",
        "\\frac{\\,3\\,}{4}",
    ],
    "1000000": ["1,000,000", "1{,}000{,}000", "1\\,000\\,000", "10^6", "10^{6}", "1\\times10^6"],
    "1,234": ["1234", "1{,}234"],
    "\\frac{7}{2}": ["3.5", "3\\frac{1}{2}", "7/2"],
    "25\\%": ["25\\%", "25", "\\frac14", "25 \\%"],
    "\\frac13": ["0.\\overline{3}", "1/3"],
    "12\\text{ m}^2": ["12", "12\\text{ square meters}", "12\\text{ m}^2"],
    "21\\text{ dogs}": ["21", "21\\text{ dogs}"],
    "2\\sqrt{2}": ["\\sqrt8", "2^{3/2}", "2\\cdot\\sqrt{2}", "\\frac{4}{\\sqrt2}"],
    "\\sqrt{2}+\\sqrt{3}": ["\\sqrt{5+2\\sqrt{6}}", "\\frac{1}{\\sqrt{3}-\\sqrt{2}}"],
    "6\\pi": ["\\pi\\cdot6", "\\frac{12\\pi}{2}"],
    "3\\ln 2": ["\\ln(8)", "\\ln 8"],
    "\\log_2 3": ["\\frac{\\ln 3}{\\ln 2}", "\\log_{2}(3)"],
    "2^{2024}": ["2\\cdot2^{2023}", "4^{1012}"],
    "9^{9^{9}}": ["9^{9^9}"],
    "x^2-1": ["(x-1)(x+1)", "-1+x^2", "y = x^2-1"],
    "\\frac{n(n+1)}{2}": ["\\binom{n+1}{2}", "0.5n^2+0.5n"],
    "\\cos^2 x": ["\\frac{1+\\cos 2x}{2}", "(\\cos x)^2"],
    "e^{x}": ["\\exp(x)"],
    "3+4i": ["4i+3", "z = 3+4\\mathrm{i}"],
    "\\{1,2\\}": ["2, 1", "\\{2,1\\}", "x=1, x=2", "1 \\text{ and } 2"],
    "\\pm 2": ["2, -2", "x=\\pm2"],
    "1\\pm\\sqrt{2}": ["1-\\sqrt2, 1+\\sqrt2"],
    "(1,2)": ["(1, 2.0)", "\\left(1,2\\right)"],
    "(-\\infty,2)\\cup(5,\\infty)": ["x\\in(5,\\infty)\\cup(-\\infty,2)"],
    "x>3": ["3 < x", "x \\gt 3"],
    "-2<x\\le 2": ["2 \\ge x > -2"],
    "y=2x+1": ["y-1=2x", "2x+1", "2y = 4x+2"],
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}": ["\\begin{bmatrix}1&2\\\\3&4.0\\end{bmatrix}"],
    "2:3": ["2 : 3"],
    "1010_2": ["1010_{2}"],
    "\\text{even}": ["\\text{Even}", "even", "\\mathrm{even}"],
    "B": ["\\text{(B)}", "(B)", "\\textbf{B}"],
    "\\emptyset": ["\\varnothing", "\\{\\}"],
}  # fmt: skip

REFUSED = {
    "42": [
        "24", "-42", "42.0001", "42, 43", "\\{42,43\\}", "42 \\text{ or } 43", "40+2", "6\\cdot7",
        "\\gcd(42,84)", "\\sqrt{1764}", "42!", "4 2", "4\\ 2", "4{}2", "4\\text{ meters }2",
        "42\\pi", "x>42", "41<x<43", "42\\pm1", "42\\ne42", "41=42", "x^2=42", "-x=42", "|42|",
        "--42",
        "\\text{not } 42", "42 \\text{ is wrong}", "42\\text{ million}", "42e0", "42_{5}", "(42,)",
        "x\\in\\mathbb{Z}", "\\infty", "", "?", "-", "None", "\\text{forty-two}", "4l", "42\u200b0",
    ],
    "\\frac13": ["0.333333333333", "33.3\\%", "1/0", "\\frac{1}{}", "\\frac{3}{1}", "1:3"],
    "0.5": ["50", "0.49999", "5"],
    "123456789012345678": ["123456789012345679", "1.23456789012345678\\times10^{16}"],
    "\\pi": ["3.14159265358979323846", "\\frac{355}{113}", "\\sqrt[4]{\\frac{2143}{22}}"],
    "-1": ["\\cos(355)", "\\cos\\pi", "i^2"],
    "2\\sqrt{3}": ["\\sqrt6", "3\\sqrt2", "3.4641016151377544"],
    "5\\text{ cm}": ["5\\text{ m}", "5\\text{ kg}"],
    "\\$5": ["5\\text{ cents}", "-\\$5"],
    "\\{1,2\\}": ["1", "(1,2)", "1,2,3", "1,1", "\\{1\\}", "x^2-3x+2=0"],
    "(1,2)": ["(2,1)", "[1,2]", "(1,2]", "1,2", "(1.2)", "(1,2,0)"],
    "\\pm 2": ["2", "2, 2", "-2"],
    "x>3": ["x\\ge3", "x<3", "3", "-x>3", "x>-3", "2x>6"],
    "y=2x+1": ["y=2x", "y\\le2x+1", "0=0", "y=y"],
    "x^2+C": ["x^2", "x^2+5"],
    "x-3": ["3-x", "x--3"],
    "a^b": ["b^a", "ab"],
    "\\sin x": ["\\cos x", "\\sin^{-1}x", "x"],
    "|x|": ["x", "-x", "\\sqrt{x}"],
    "\\sqrt{2}": [
        "\\sqrt{2}+10^{-40}", "\\sqrt{2}+10^{-100}", "\\sqrt{2}+\\frac{1}{10^{10^{10}}}",
        "\\infty-\\infty+\\sqrt2",
    ],
    "1010_2": ["1010_3", "1011_2", "1010"],
    "\\text{even}": ["\\text{odd}", "\\text{even or odd}", "e"],
    "B": ["A, B", "ABCD", "\\text{Bad}", "\\beta"],
    "\\infty": ["-\\infty", "10^{100}"],
}  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), [(g, a) for g in ACCEPTED for a in [g, *ACCEPTED[g]]])
def test_an_equal_answer_is_accepted(gold: str, answer: str) -> None:
    assert outcome(gold, answer) is Outcome.CORRECT


@pytest.mark.parametrize(("gold", "answer"), [(g, a) for g in REFUSED for a in REFUSED[g]])
def test_another_answer_is_refused(gold: str, answer: str) -> None:
    assert outcome(gold, answer) in (Outcome.WRONG, Outcome.UNPARSED, Outcome.EXCEEDED)


@settings(deadline=None)
@given(st.fractions(), st.fractions())
def test_numbers_are_accepted_exactly_when_equal(a: Fraction, b: Fraction) -> None:
    def latex(x: Fraction) -> str:
        return f"{'-' * (x < 0)}\\frac{{{abs(x.numerator)}}}{{{x.denominator}}}"

    assert (outcome(latex(a), f"{b.numerator}/{b.denominator}") is Outcome.CORRECT) == (a == b)
    assert outcome(latex(a), latex(a)) is Outcome.CORRECT


@settings(deadline=None)
@given(st.integers(), st.integers(0, 30))
def test_an_integer_is_accepted_in_each_way_of_writing_it(n: int, zeros: int) -> None:
    ways = [
        f"{n}",
        f"{n:,}",
        f"{n:,}".replace(",", "{,}"),
        f"{n}.{'0' * zeros}",
        f"{n}\\text{{cm}}",
    ]
    assert {outcome(str(n), way) for way in ways} == {Outcome.CORRECT}
    assert outcome(str(n), f"{n + 1:,}") is Outcome.WRONG


ATOMS = st.sampled_from(["1", "7", "0.5", "x", "n", "\\pi", "e", "i", "0", "10^{99}"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "\\cdot ", ",", "="]), inner).map("".join),
        inner.map("\\sqrt{{{}}}".format),
        inner.map("({})!".format),
        inner.map("\\sin({})".format),
        inner.map("\\ln|{}|".format),
        st.tuples(inner, inner).map(lambda pair: "\\frac{{{}}}{{{}}}".format(*pair)),
        st.tuples(inner, inner).map(lambda pair: "({})^{{{}}}".format(*pair)),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(EXPRESSIONS, EXPRESSIONS)
def test_no_expression_breaks_the_verifier(gold: str, answer: str) -> None:
    """`python -m benchmarks.fuzz math` does this at length."""
    for right in (gold, "\\sqrt{2}"):
        verdict = verify_math(right, f"\\boxed{{{answer}}}")
        assert verdict.outcome is not Outcome.BROKEN or right == gold
    assert verify_math(gold, f"\\boxed{{{gold}}}").outcome is Outcome.CORRECT


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="0123456789+-*/^_=<>(){}[],.;:!|&%$ \\xyef"), st.booleans())
def test_no_text_breaks_the_verifier(text: str, boxed: bool) -> None:
    response = f"\\boxed{{{text}}}" if boxed else text
    for gold in ("7", "x^2+1", "\\{1,2\\}", "\\sqrt{2}"):
        verdict = verify_math(gold, response)
        assert verdict.outcome is not Outcome.BROKEN
        assert verdict.verifier == VERSION


def test_integers_of_any_length_are_compared_to_the_last_digit() -> None:
    long = "9" * 100_000
    assert outcome(long, long) is Outcome.CORRECT
    assert outcome(long, long[:-1] + "8") is Outcome.WRONG
    assert outcome(long, "-" + long) is Outcome.WRONG
    assert outcome(long, "0" + long) is Outcome.CORRECT
    assert outcome(long, "x" + long) is Outcome.WRONG


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("\\boxed{4}", "4"),
        ("First \\boxed{3}, then \\boxed{4}.", "4"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed {4}", "4"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("} \\boxed{4} {", "4"),
        ("\\fbox{4}", "4"),
        ("\\boxed{3} or \\boxed{4", None),
        ("\\boxed", None),
        ("\\boxed{}", None),
        ("\\boxedfigure{4}", None),
        ("Answer: 4", "4"),
        ("**Answer:** $4$", "4"),
        ("work\n#### 1,234\n", "1,234"),
        ("Answer: 5\nAnswer: 4", "4"),
        ("The final answer is $4$. I hope it is correct.", "4"),
        ("The answer is $4$ or $5$.", "$4$ or $5$"),
        ("the answer is (C).", "(C)"),
        ("Answer:\n4", None),
        ("4", None),
        ("", None),
    ],
)
def test_the_final_answer_is_the_last_one_that_is_marked(response: str, answer: str) -> None:
    assert final_answer(response) == answer


ONE_ANSWER = {  # response to a problem with the answer 4 -> whether it gives that one answer
    "It is \\boxed{4}. Check: \\boxed{4}.": True,
    "So $\\boxed{4}$, that is $\\boxed{4.0}$.": True,
    "<think>\\boxed{5}? No.</think> It is \\boxed{4}.": True,
    "Answer: 4\n\nFinal answer: 4": True,
    "\\boxed 4": True,
    "Either \\boxed{3} or \\boxed{4}.": False,
    "\\boxed{3} \\boxed{4}": False,
    "\\boxed{4} or 5": False,
    "$\\boxed{4}$ (or $5$)": False,
    "Answer: 3\nAnswer: 4": False,
    "<think>It is \\boxed{4}.</think> I do not know.": False,
    "<think>It is \\boxed{4}.": False,
    "\\boxed{5}\n% \\boxed{4}": False,
    "\\boxed{\\color{white}5\\color{black}4}": False,
}


@pytest.mark.parametrize("response", ONE_ANSWER)
def test_a_response_gives_one_final_answer(response: str) -> None:
    assert (verify_math("4", response).outcome is Outcome.CORRECT) is ONE_ANSWER[response]


def test_boxes_side_by_side_are_one_list() -> None:
    for response in ("\\boxed{1}, \\boxed{2}", "$\\boxed{2}$ and $\\boxed{1}$"):
        assert verify_math("\\{1,2\\}", response).outcome is Outcome.CORRECT
        assert verify_math("2", response).outcome is Outcome.WRONG
    assert verify_math("1,2", "\\boxed{1} is no root, \\boxed{2}").outcome is Outcome.WRONG


def test_a_box_inside_the_last_box_is_not_an_answer_of_its_own() -> None:
    assert verify_math("4", "\\boxed{5 + \\boxed{4}}").outcome is not Outcome.CORRECT


def test_a_response_without_an_answer_is_unparsed() -> None:
    for response in ("", "4", "\\boxed{}", "\\boxed{ }", "It is 4.", "\\boxed{4"):
        verdict = verify_math("4", response)
        assert (verdict.outcome, verdict.answer) == (Outcome.UNPARSED, None)


def test_the_verdict_shows_the_answer_and_why_it_is_wrong() -> None:
    verdict = verify_math("4", "\\boxed{ 5 }")
    assert (verdict.answer, verdict.detail) == ("5", "not 4")
    unreadable = verify_math("4", "\\boxed{4 4}")
    assert unreadable.answer == "4 4"
    assert "two numbers side by side" in unreadable.detail
    assert len(verify_math("4", f"\\boxed{{{'5' * 10**6}}}").answer or "") < 1000


def test_a_reference_answer_that_cannot_be_read_is_the_verifiers_fault() -> None:
    gold = "\\sum_{k=1}^{n} k"
    assert outcome(gold, gold) is Outcome.CORRECT
    verdict = verify_math(gold, "\\boxed{5}")
    assert verdict.outcome is Outcome.BROKEN
    assert gold in verdict.detail


@pytest.mark.parametrize(
    "bomb",
    [
        "9^{9^{9^{9}}}", "10^{10^{10}}", "(10^9)!", "((9!)!)!", "2^{2^{2^{2^{2^{2}}}}}",
        "\\frac{1}{9^{9^9}}", "7^{7^{7^7}}-7^{7^{7^7}}+8", "x^{10^7}-x^{10^7}", "e^{e^{e^{e^{e}}}}",
        "\\binom{10^9}{10^8}", "\\cosh(10^9)", "(x+1)^{10^6}", "\\sqrt[10^9]{2}^{10^9}",
        "\\exp(10^9)",
        "(" * 900 + "7" + ")" * 900, "{" * 900 + "7" + "}" * 900, "-" * 1900 + "7",
        "\\frac{" * 200 + "7" + "}{2}" * 200, "1+" * 900 + "7", "|" * 900, "x_" * 900 + "x",
        "\\left(" * 300 + "7", "1=" * 900 + "1", "9." * 900, ",".join(map(str, range(600))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("gold", ["7", "\\sqrt{2}", "x^2+1"])
def test_an_expression_bomb_is_refused_and_not_computed(gold: str, bomb: str) -> None:
    """In a process with 10 s of CPU time, 100 times what it takes."""
    verdict = in_new_process(gold, f"\\boxed{{{bomb}}}")
    assert verdict.split()[0] in ("wrong", "unparsed", "exceeded")


def in_new_process(gold: str, response: str) -> str:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (10, 10));"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31));"
        "from verifiers.math import verify_math;"
        "verdict = verify_math(sys.argv[1], sys.argv[2]);"
        "print(verdict.outcome, *sorted({'sympy', 'mpmath'} & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", code, gold, response]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("gold", [*ACCEPTED, *REFUSED])
def test_no_short_cut_changes_a_verdict(gold: str) -> None:
    for answer in {gold, *ACCEPTED.get(gold, ()), *REFUSED.get(gold, ())}:
        response = f"\\boxed{{{answer}}}"
        long_way = verify_without_short_cuts(gold, response)
        assert verify_math(gold, response).outcome is long_way.outcome, answer


@pytest.mark.parametrize("answer", ["1+7", "001+07", "1+(7)", "7+1", "8"])
def test_a_reference_answer_that_leaves_work_is_judged_alike_both_ways(answer: str) -> None:
    response = f"\\boxed{{{answer}}}"
    long_way = verify_without_short_cuts("1+7", response)
    assert verify_math("1+7", response).outcome is long_way.outcome


@settings(deadline=None)
@given(st.integers(-999, 999), st.integers(1, 99), st.integers(-999, 999), st.integers(1, 99))
def test_no_short_cut_changes_a_verdict_about_numbers(a: int, b: int, c: int, d: int) -> None:
    for gold in (f"{a}", f"{a}.{b}", f"\\frac{{{a}}}{{{b}}}", f"{a}/{b}"):
        for answer in (
            f"{c}",
            f"{a}.{b}0",
            f"\\frac{{{c}}}{{{d}}}",
            f"\\dfrac{{{2 * a}}}{{{2 * b}}}",
        ):
            response = f"\\boxed{{{answer}}}"
            long_way = verify_without_short_cuts(gold, response)
            assert verify_math(gold, response).outcome is long_way.outcome


def test_a_verdict_does_not_depend_on_earlier_calls() -> None:
    cases = [(gold, answer) for gold in list(REFUSED)[:6] for answer in REFUSED[gold][:8]]
    once = [outcome(gold, answer) for gold, answer in cases]
    for gold in ACCEPTED:
        outcome(gold, ACCEPTED[gold][0])
    assert [outcome(gold, answer) for gold, answer in reversed(cases)] == once[::-1]


def test_plain_numbers_are_judged_without_computer_algebra() -> None:
    for gold, answer in [("1023", "1023"), ("1/3", "0.5"), ("1,000", "$10^3$"), ("5", "5\\%")]:
        assert len(in_new_process(gold, f"\\boxed{{{answer}}}").split()) == 1


@pytest.mark.parametrize(
    "code",
    [
        "open('{path}','w').write('x')",
        "__import__('os').system('touch {path}')",
        "[open('{path}','w'),7][1]",
        "\\text{{open('{path}','w')}}",
        "sqrt(2)+0*len([open('{path}','w')])",
        "[open('{path}','w'),4*\\pi][1]",
        "exit()",
        "\\immediate\\write18{{touch {path}}}7",
    ],
)
@pytest.mark.parametrize("gold", ["7", "4\\pi", "x", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"])
def test_an_answer_that_is_code_is_not_run(tmp_path: Path, gold: str, code: str) -> None:
    path = tmp_path / "canary"
    assert outcome(gold, code.format(path=path)) is not Outcome.CORRECT
    assert not path.exists()


@pytest.mark.parametrize("text", ["1 2", "x2", "()", "1+", "*2", "\\frac{1}{2", "#", "٣", "a'"])
def test_what_is_no_mathematics_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotMathematics):
        read(text)


def test_a_tree_says_what_the_text_says() -> None:
    one, two, x = ("num", Fraction(1)), ("num", Fraction(2)), ("sym", "x")
    assert read("1+2x") == ("add", one, ("mul", two, x))
    assert read("-x^2") == ("neg", ("pow", x, two))
    assert read("1/2x") == ("mul", ("div", one, two), x)
    assert read("2\\frac12") == ("mixed", two, ("div", one, two))
    assert read("\\sin 2x\\cos x") == ("mul", ("fn", "sin", ("mul", two, x)), ("fn", "cos", x))
    assert read("x_1") == ("sym", "x_1")
    assert read("1<x\\le2") == ("relation", ("<", "<="), (one, x, two))


def test_arithmetic_with_fractions_is_exact_and_bounded() -> None:
    assert rational(read("\\frac{1}{3}+\\frac{1}{6}")) == Fraction(1, 2)
    assert rational(read("2^{-3}\\cdot 5!")) == 15
    assert rational(read("\\binom{5}{2}-|-3|")) == 7
    assert rational(read("\\sqrt{4}")) is None
    assert rational(read("\\frac{1}{0}")) is None
    with pytest.raises(TooLarge):
        rational(read("2^{20001}"))


def test_a_plain_number_is_read_with_ascii_digits_only() -> None:
    read_number = numeral("-1,234.50")
    assert read_number is not None
    assert read_number.value == Fraction(-2469, 2)
    assert numeral("٣") is None
    assert numeral("1_000") is None
