"""What counts as a right answer where that is a matter of convention. All options, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MathRules:
    r"""Conventions of the mathematics verifier; the defaults are the strict reading.

    Raises:
        ValueError: `approximate_digits` is below 2.
    """

    several_boxes: bool = False
    r"""The last of several different `\boxed{...}` counts; otherwise they are a hedge, refused."""

    bare: bool = False
    r"""A response with neither a box nor a marker is an answer as a whole, up to 200 characters."""

    markers: tuple[str, ...] = ("####", "answer:", "answer is")
    """What announces a final answer that is not boxed; capital or small letters alike."""

    unevaluated: bool = False
    r"""A computation counts as its result: `2+2` for 4, `\sin 30^\circ` for 1/2."""

    unsimplified: bool = False
    r"""A fraction need not be in lowest terms: `\frac{6}{8}` for 3/4."""

    exact_decimals: bool = True
    """A decimal counts for a fraction of exactly that value: `0.75` for 3/4."""

    approximate_digits: int | None = None
    r"""A decimal counts if it is the exact value rounded to so many significant digits or more:
    with 4, `0.7854` for \frac{\pi}{4}."""

    decimal_comma: bool = False
    """A single comma followed by one, two or more than three digits is a decimal point: `2,5`."""

    percent_value: bool = True
    r"""A percentage counts for the number it is and the other way round: `75\%` for 3/4."""

    percent_sign_optional: bool = True
    r"""`25` counts for 25\%; and 25\% for 25 if the problem asks for a percentage."""

    unit_optional: bool = True
    r"""A unit may be left out: `12` for 12\text{ cm}."""

    unit_added: bool = True
    r"""A unit that the reference answer leaves out may be there: `5\text{ cm}` for 5."""

    interval_for_inequality: bool = True
    r"""`(3,\infty)` counts for x>3 and the other way round."""

    names_for_point: bool = True
    """`x=1, y=2` counts for (1,2) and the other way round, names in the order of the alphabet."""

    set_for_tuple: bool = False
    r"""`\{1,2\}` or `1,2` counts for the point (1,2), in this order."""

    base_optional: bool = False
    """`1010` counts for 1010_2."""

    rename_constant: bool = True
    """The constant of integration C may be called c, k or K."""

    respect_form: bool = True
    """With the problem's text: an answer must not repeat the problem, and must have the form that
    the problem asks for (lowest terms, a fraction, a percentage, factored, in centimetres, ...)."""

    def __post_init__(self) -> None:
        if self.approximate_digits is not None and self.approximate_digits < 2:
            raise ValueError(
                f"approximate_digits must be at least 2, or None (found {self.approximate_digits})"
            )


STRICT = MathRules()
