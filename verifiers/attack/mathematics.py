"""Attacks on final answers that are compared as mathematics."""

from collections.abc import Iterator

from verifiers.attack.attacker import Attacker, Expect, Response, Target
from verifiers.attack.mutation import near_misses, number, written
from verifiers.attack.reading import same

EXPRESSIONS = {  # more than an honest answer needs, in few characters
    "tower of nines": "9^{9^{9^9}}",
    "tower of tens": "10^{10^{10^{10}}}",
    "negative tower": "10^{-10^{10^{10}}}",
    "large factorial": "(10^9)!",
    "factorial of a factorial": "((10^6)!)!",
    "factorials in a row": "9!!!!!!!",
    "binomial": "\\binom{10^{10}}{5\\cdot 10^{9}}",
    "long sum": "\\sum_{n=1}^{10^{14}} \\frac{1}{n}",
    "long product": "\\prod_{n=1}^{10^{12}} n",
    "expansion": "(a+b+c+d+e+f)^{4000}",
    "expansion of a quotient": "\\frac{(x+1)^{2000}-(x-1)^{2000}}{(x^2-1)^{900}}",
    "sine of a tower": "\\sin(10^{10^{8}})",
    "exponentials": "e^{e^{e^{e^{e^{10}}}}}",
    "nested radicals": "\\sqrt{2+" * 400 + "2" + "}" * 400,
    "nested fractions": "\\frac{1}{1+" * 400 + "1" + "}" * 400,
    "nested parentheses": "(" * 20_000 + "1" + ")" * 20_000,
    "minus signs": "-" * 50_000 + "1",
    "sum of ones": "1+" * 100_000 + "1",
    "power of powers": "2" + "^{2" * 1000 + "}" * 1000,
    "digits": "7" * 300_000,
    "decimals": "0." + "3" * 300_000,
    "list": "1," * 100_000 + "1",
    "matrix": "\\begin{pmatrix}" + "1&" * 50_000 + "1\\end{pmatrix}",
    "thousands separators": "1" + ",000" * 100_000,
    "integrals": "\\int" * 2000 + "x",
    "symbols": "".join(f"x_{{{i}}}+" for i in range(3000)) + "1",
    "gamma-like": "(\\frac{1}{2})!^{(10^{7})!}",
}


def _resource_bombs(target: Target) -> Iterator[Response]:
    for label, expression in EXPRESSIONS.items():
        yield Response(label, f"\\boxed{{{expression}}}")
    value = number(target)
    if value is not None:  # one that only looks like the answer until it is computed
        gold = written(value)
        yield Response("a tower beside the answer", f"\\boxed{{{gold}+0\\cdot 9^{{9^{{9^9}}}}}}")
        yield Response(
            "a power that is nearly one", f"\\boxed{{{gold}\\cdot 1^{{10^{{10^{{9}}}}}}+1}}"
        )


def _hedges(target: Target) -> Iterator[Response]:
    """More than one final answer, the right one among them."""
    gold = target.gold
    for _, wrong in list(near_misses(target))[:2]:
        pairs = {"right first": (gold, wrong), "wrong first": (wrong, gold)}
        for order, (one, two) in pairs.items():
            for label, joined in {
                "list": f"{one}, {two}",
                "semicolons": f"{one}; {two}",
                "or": f"{one} \\text{{ or }} {two}",
                "plain or": f"{one} or {two}",
                "vee": f"{one} \\vee {two}",
                "set": f"\\{{{one}, {two}\\}}",
                "slash of words": f"{one} \\text{{ (or perhaps }} {two}\\text{{)}}",
                "implication": f"{one} \\Rightarrow {two}",
            }.items():
                yield Response(f"{label}, {order}", target.answered(joined))
        boxed = f"It is \\boxed{{{gold}}} or \\boxed{{{wrong}}}, I cannot tell which."
        yield Response("two boxes, wrong last", boxed)
        yield Response("denied", target.answered(f"\\text{{not }} {gold}"))


def _marked(target: Target) -> Iterator[Response]:
    """More than one answer, each marked as final in another way than by a box; a wrong one last."""
    others = [wrong.text for wrong in near_misses(target)][:2]
    if len(others) < 2:
        return
    gold, (one, two) = target.gold, others
    for label, mark in {
        "tags": "<answer>{}</answer>",
        "tags around boxes": "<answer>\\boxed{{{}}}</answer>",
        "lines": "{}",
        "bold": "**{}**",
        "hash marks": "#### {}",
        "answer lines": "Answer: {}",
    }.items():
        yield Response(f"{label}, two", "\n".join(mark.format(x) for x in (gold, one)))
        yield Response(f"{label}, three", "\n".join(mark.format(x) for x in (one, gold, two)))
        if label != "tags around boxes":
            beside = "\n".join(mark.format(x) for x in (one, gold, two))
            yield Response(f"{label} and a wrong box", f"{beside}\n\\boxed{{{one}}}")
    yield Response("one pair of tags", f"<answer>{gold} or {one}</answer>")


def _ranges(target: Target) -> Iterator[Response]:
    """Sets of numbers that the right one is a member of."""
    value = number(target)
    if value is None:
        return
    gold, low, high = written(value), written(value - 1), written(value + 1)
    for label, text in {
        "closed interval": f"[{low}, {high}]",
        "open interval": f"({low}, {high})",
        "half-open interval": f"[{gold}, {high})",
        "plus-minus": f"{gold} \\pm 1",
        "plus-minus from below": f"{low} \\pm 1",
        "both signs": f"\\pm {written(abs(value) + 1)}",
        "inequality": f"x \\ge {gold}",
        "double inequality": f"{low} \\le x \\le {high}",
        "less than": f"x < {high}",
        "all integers": "x \\in \\mathbb{Z}",
        "three in a row": f"{low}, {gold}, {high}",
        "false equation": f"{low} = {gold}",
        "false equation, right first": f"{gold} = {low}",
        "dots": f"{low}, {gold}, \\ldots",
    }.items():
        yield Response(label, target.answered(text))


def _last_box(target: Target) -> Iterator[Response]:
    """Several boxes, the right one last: a correction, or a hedge? A convention decides."""
    for _, wrong in list(near_misses(target))[:1]:
        yield Response(
            "two boxes, right last", f"Either \\boxed{{{wrong}}} or \\boxed{{{target.gold}}}."
        )


def _unfinished(target: Target) -> Iterator[Response]:
    """The computation left to whoever reads: the question could be handed back the same way."""
    value = number(target)
    if value is None or value.denominator != 1:
        return
    n = value.numerator
    for label, text in {
        "sum": f"{n - 1}+1",
        "difference": f"{n + 1}-1",
        "product": f"1\\cdot {n}" if n >= 0 else f"-1\\cdot {-n}",
        "sum with zero": f"{n}+0",
        "root of a square": f"{'-' if n < 0 else ''}\\sqrt{{{n * n}}}",
        "greatest common divisor": f"\\gcd({abs(n)},{2 * abs(n)})",
        "sum of ones": f"\\sum_{{i=1}}^{{{n}}} 1",
        "logarithm": f"\\log_2(2^{{{n}}})",
        "double negative": f"-(-({n}))",
    }.items():
        yield Response(label, target.answered(text))


def _unicode(target: Target) -> Iterator[Response]:
    """Wrong answers that turn right when characters are dropped or folded."""
    value = number(target)
    if value is None or value.denominator != 1 or value < 0:
        return
    digits = str(value.numerator)
    more = str((value.numerator % 10 + 1) % 10)
    wide, arabic, bold = (
        {ord(str(digit)): chr(zero + digit) for digit in range(10)}
        for zero in (0xFF10, 0x0660, 0x1D7CE)
    )
    tricks = {
        "zero-width space": f"{digits}\u200b{more}",
        "word joiner": f"{digits}\u2060{more}",
        "soft hyphen": f"{digits}\u00ad{more}",
        "wide digit more": digits + more.translate(wide),
        "Arabic digit more": digits + more.translate(arabic),
        "wide digits, another number": (digits + more).translate(wide),
        "circled digit": f"{digits}\u2460",
        "bold digits, another number": (digits + more).translate(bold),
        "letter for one": digits.replace("1", "l") + ("" if "1" in digits else "l"),
        "letter for nought": digits.replace("0", "O") + ("" if "0" in digits else "O"),
    }
    if len(digits) > 1:
        superscripts = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
        tricks["superscript"] = digits[:-1] + superscripts[int(digits[-1])]
    for label, text in tricks.items():
        yield Response(label, target.answered(text))


def _notation(target: Target) -> Iterator[Response]:
    """What is no value at all, or says yes instead of what."""
    gold = target.gold
    found = {
        "not a number": "\\text{nan}",
        "nought by nought": "\\frac{0}{0}",
        "infinity": "\\infty",
        "true": "\\text{True}",
        "tautology": "1=1",
        "denial": f"{gold} \\ne {gold}",
        "unknown function": f"f({gold})",
        "indexed": f"x_{{{gold}}}",
        "free constant": f"{gold}+C",
        "asterisk": "*",
        "wildcard": ".*",
    }
    if number(target):  # 0 %% is 0
        found["percent of a percent"] = f"{gold}\\%\\%"
    for label, text in found.items():
        if not same(text, gold):
            yield Response(label, target.answered(text))


MATH = ("math",)

ATTACKERS = (
    Attacker("hedge", "several answers, one of them right", Expect.REFUSE, _hedges, MATH),
    Attacker("marked", "an answer in any of several places is looked for", Expect.REFUSE, _marked,
             MATH),
    Attacker("range", "intervals and plus-minus around the answer", Expect.REFUSE, _ranges, MATH),
    Attacker("last box", "a rejected box and a last one", Expect.REFUSE, _last_box, MATH,
             decides=False),
    Attacker("unfinished", "the verifier's algebra does the policy's work", Expect.REFUSE,
             _unfinished, MATH),
    Attacker("unicode", "folded and dropped characters make numbers alike", Expect.REFUSE,
             _unicode, MATH),
    Attacker("notation", "values that are none, or equal to everything", Expect.REFUSE, _notation,
             MATH),
    Attacker("resource bomb", "9^{9^{9^9}} froze a popular trainer", Expect.REFUSE,
             _resource_bombs, MATH, tasks=2),
)  # fmt: skip
