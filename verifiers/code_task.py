"""Reading a task: each part is checked before a program is run, and a wrong one gets a sentence."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from verifiers.code_compare import Tolerance, expected_tree
from verifiers.code_failure import BadTask
from verifiers.code_values import NotAValue, Tree, to_tree
from verifiers.sandbox_confine import Limits

STYLES = ("function", "stdio", "unittest")

# key of a task, default, least, most
BOUNDS = (
    ("time_limit_s", 2.0, 0.01, 300.0),
    ("memory_limit_mb", 512, 16, 1 << 16),
    ("output_limit_mb", 16, 0.001, 256),
)


class Case(NamedTuple):
    """One test of a task in function or stdio style."""

    name: str
    given: Any  # the arguments as trees, or the input
    expected: Tree  # in normal form, or the output; None where only a checker knows what is right


def style_of(task: dict[str, Any]) -> str:
    """Raises BadTask: there is no such style."""
    style = task.get("style")
    if style not in STYLES:
        raise BadTask(f"style {_short(style)}; there are function, stdio and unittest")
    return style


def entry_point_of(task: dict[str, Any]) -> str:
    """Raises BadTask: it is no name, or several joined by dots."""
    found = task.get("entry_point")
    if not isinstance(found, str) or not all(name.isidentifier() for name in found.split(".")):
        raise BadTask(
            f"entry_point is {_short(found)}; function style needs the name of a function, or "
            "Class.method"
        )
    return found


def limits_of(task: dict[str, Any]) -> Limits:
    """The limits that a task sets for each of its tests.

    Raises:
        BadTask: one is no number or out of bounds.
    """
    found = {}
    for key, default, low, high in BOUNDS:
        value = task.get(key, default)
        if not _is_number(value) or not low <= value <= high:
            raise BadTask(f"{key} is {_short(value)}; it must be a number from {low:g} to {high:g}")
        found[key] = value
    return Limits(
        wall_s=float(found["time_limit_s"]),
        memory_mib=int(found["memory_limit_mb"]),
        output_bytes=int(found["output_limit_mb"] * (1 << 20)),
    )


def checker_of(task: dict[str, Any]) -> Tolerance | str | None:
    """A tolerance for numbers, the source of a checker program, or None for exact equality.

    Raises:
        BadTask: no checker of that type, or one without what it needs.
    """
    checker = task.get("checker")
    match {"type": "exact"} if checker is None else checker:
        case {"type": "exact"}:
            return None
        case {"type": "float", **options} if _are_tolerances(options):
            return Tolerance(float(options.get("abs", 0)), float(options.get("rel", 0)))
        case {"type": "python", "source": str(source)}:
            return source
        case other:
            raise BadTask(
                f"checker {_short(other)}; there are exact, float with abs and rel, "
                "and python with the source of check(inp, out, exp); abs and rel are numbers "
                "from 0 to 1e300"
            )


def cases_of(task: dict[str, Any]) -> list[Case]:
    """The visible and the hidden tests of a task.

    Raises:
        BadTask: one is not as its style needs it, or there are none and none are drawn.
    """
    found: list[Case] = []
    for kind in ("visible", "hidden"):
        tests = task.get(f"{kind}_tests")
        if tests is None:
            continue
        if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
            raise BadTask(f"{kind}_tests must be a list of dictionaries, not {_short(tests)}")
        found += read_cases(kind, task, tests)
    if not found and task.get("drawn_tests") is None:
        raise BadTask("it has no visible_tests, hidden_tests or drawn_tests")
    return found


def read_cases(kind: str, task: dict[str, Any], tests: Sequence[dict[str, Any]]) -> list[Case]:
    """Tests in the style of the task, each with a name.

    Raises:
        BadTask: one lacks something, or it is of another type than the style needs.
    """
    read = _function_case if task["style"] == "function" else _stdio_case
    with_checker = isinstance(checker_of(task), str)
    return [
        read(f"{kind} test {number}", test, with_checker) for number, test in enumerate(tests, 1)
    ]


def _function_case(name: str, test: dict[str, Any], with_checker: bool) -> Case:
    if "args" not in test or not (with_checker or "expected" in test):
        missing = "expected" if "args" in test else "args"
        raise BadTask(f"{name} has no {missing}; a function test needs args and expected")
    args = test["args"]
    if not isinstance(args, list | tuple):
        raise BadTask(f"{name}: args must be a list of arguments, not {_short(args)}")
    try:
        return Case(name, [to_tree(x) for x in args], expected_tree(test.get("expected")))
    except (NotAValue, RecursionError) as error:
        raise BadTask(f"{name} holds {error}") from None


def _stdio_case(name: str, test: dict[str, Any], with_checker: bool) -> Case:
    given, expected = test.get("input"), test.get("output")
    for key, value in (("input", given), ("output", expected)):
        if not isinstance(value, str) and not (key == "output" and value is None and with_checker):
            raise BadTask(f"{name}: {key} must be a string, not {_short(value)}")
    return Case(name, given, expected)


def _are_tolerances(options: dict[str, Any]) -> bool:
    return set(options) <= {"abs", "rel"} and all(
        _is_number(value) and 0 <= value <= 1e300 for value in options.values()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    """A value of a task for a message. One of many or deep parts is not written out."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!s:.40}: ..." for key in list(value)[:5]) + "}"
    if isinstance(value, str):
        return repr(value[:200])
    return "a huge number" if isinstance(value, int) and abs(value) >= 1 << 64 else repr(value)
