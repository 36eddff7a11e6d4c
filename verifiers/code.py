"""Does a program do what its task asks? Programs run in sandboxes; grading happens out here.

A task is a dictionary:

    style           "function" (entry_point is called), "stdio" (a script reads and prints) or
                    "unittest" (verifiers/code_units.py)
    entry_point     function style: the function's name, or "Class.method"
    visible_tests   function: [{"args": [...], "expected": value}]; stdio: [{"input", "output"}]
    hidden_tests    the same, not shown to the policy; both lists count
    drawn_tests     how to draw more at every call (verifiers/code_draw.py)
    checker         {"type": "exact"} | {"type": "float", "abs": a, "rel": r}
                    | {"type": "python", "source": "def check(inp, out, exp): ..."}
    time_limit_s    wall-clock seconds per test
    memory_limit_mb address space per test, in MiB

Every test is run in a sandbox of its own. A sandbox is given a test's arguments or input, never
what is expected; what comes back is read as plain data and compared here. How a program ends and
what it prints beside its answer prove nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

from verifiers import code_units
from verifiers.code_compare import (
    Tolerance,
    expected_tree,
    output_difference,
    value_difference,
)
from verifiers.code_draw import drawn_tests
from verifiers.code_failure import MAX_PARTS, BadTask, Failure, ended, returned
from verifiers.code_values import NotAValue, Tree, to_bytes, to_tree
from verifiers.sandbox import SandboxError
from verifiers.sandbox_confine import Limits
from verifiers.sandbox_remote import open_sandbox
from verifiers.verdict import Outcome, Verdict, broken, unparsed, wrong

VERSION = "code/1"
MAX_PROGRAM = 1 << 20  # characters
SHOWN = 500  # characters of a program that a verdict carries
CHECKER_LIMITS = Limits(wall_s=10.0)  # a checker is the task author's

# key of a task, default, least, most
BOUNDS = (
    ("time_limit_s", 2.0, 0.01, 300.0),
    ("memory_limit_mb", 512, 16, 1 << 16),
    ("output_limit_mb", 16, 0.001, 256),
)

# What has matched is never given back: a line of tildes with a backtick at its end took cubic time.
_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[^`\n]*+$")
_LANGUAGES = frozenset({"", "python", "py", "python3"})


def program_of(response: str) -> str | None:
    """The last fenced code block of a response that is marked as Python or not marked at all.

    One final answer: earlier blocks are left aside, whatever they hold. A block in another
    language is no answer, nor is one that is not closed. Without any fence there is no program.
    """
    found: str | None = None
    fence, language, lines = "", "", list[str]()
    for line in response.split("\n"):
        match = _FENCE.match(line)
        if not fence:
            if match:
                fence, language, lines = match[1], match[2].lower(), []
        elif line.strip() and set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence):
            if language in _LANGUAGES:
                found = "\n".join(lines) + "\n"
            fence = ""
        else:
            lines.append(line)
    return found


class Grader:
    """Grades programs, one at a time, in sandboxes that it prepares ahead. A context manager.

    require_strength, use: see Sandbox; TooWeak is raised on entering if it is not there.
    url: of a sandbox server that programs are run by, in place of this machine.
    partial: whether a program that passes some tests is worth their share (outcome `partial`);
        by default it is wrong, with score 0, and the detail says how many it passed.
    """

    def __init__(
        self,
        require_strength: str = "namespaces",
        *,
        url: str | None = None,
        partial: bool = False,
        use: str | None = None,
    ) -> None:
        self._sandbox = open_sandbox(require_strength, url=url, use=use)
        self._partial = partial

    def __enter__(self) -> "Grader":
        self._sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.stop()

    @property
    def description(self) -> str:
        """The sandbox in force, in one line."""
        return self._sandbox.description

    @property
    def verifier(self) -> str:
        """What verdicts are signed with: `code/1+namespaces`, or `code/1+remote-namespaces`."""
        return f"{VERSION}+{self._sandbox.strength}"

    def grade(self, task: dict[str, Any], program: str) -> Verdict:
        """Run a program on all tests of a task; `correct` iff it passes every one.

        Without `partial`, the first failure ends it. `broken` if the task cannot be used or the
        sandbox failed twice, never for what the program does.
        """
        if not program.strip():
            return unparsed("the program is empty", self.verifier)
        if len(program) > MAX_PROGRAM:
            detail = f"a program of {len(program):,} characters (at most {MAX_PROGRAM:,})"
            return Verdict(Outcome.EXCEEDED, 0.0, None, detail, self.verifier)
        for attempt in (1, 2):
            try:
                if not self._sandbox.running:
                    self._sandbox.start()
                return self._grade(task, program)
            except BadTask as error:
                return broken(f"task {task.get('task_id', '?')}: {error}", self.verifier)
            except SandboxError as error:
                self._sandbox.stop()
                if attempt == 2:
                    return broken(f"the sandbox failed twice: {error}", self.verifier)
        raise AssertionError("unreachable")

    def _grade(self, task: dict[str, Any], program: str) -> Verdict:
        shown = program if len(program) <= SHOWN else program[:SHOWN] + "..."
        n_tests, passed, first = 0, 0, None
        for name, failure in self._results(task, program):
            n_tests += 1
            if failure is None:
                passed += 1
                continue
            if failure.outcome is Outcome.BROKEN:
                return broken(f"{name}: {failure.detail}", self.verifier)
            first = first or (failure, f"{name}: {failure.detail}")
            if not self._partial:
                break
        if first is None:
            return Verdict(Outcome.CORRECT, 1.0, shown, "", self.verifier)
        failure, detail = first
        detail = f"{detail} ({passed} passed{'' if self._partial else ' before it'})"
        if self._partial and passed:
            return Verdict(Outcome.PARTIAL, passed / n_tests, shown, detail, self.verifier)
        if failure.outcome is Outcome.EXCEEDED:
            return Verdict(Outcome.EXCEEDED, 0.0, shown, detail, self.verifier)
        return wrong(shown, detail, self.verifier)

    def _results(self, task: dict[str, Any], program: str) -> Iterator[tuple[str, Failure | None]]:
        """Each test's name, and why it failed if it did."""
        style, limits = task.get("style"), limits_of(task)
        if style == "unittest":
            yield from code_units.results(self._sandbox, task, program, limits)
            return
        if style not in ("function", "stdio"):
            raise BadTask(f"style '{style}'; there are function, stdio and unittest")
        run = self._call if style == "function" else self._print
        drawn = drawn_tests(self._sandbox, task, limits)
        for name, test in list_tests({**task, "drawn": drawn}):
            yield name, run(task, program, test, limits)

    def _call(
        self, task: dict[str, Any], program: str, test: dict[str, Any], limits: Limits
    ) -> Failure | None:
        checker = checker_of(task)
        try:
            expected = expected_tree(test["expected"])
            args = [to_tree(value) for value in test["args"]]
            entry_point = str(task["entry_point"])
        except (KeyError, TypeError, NotAValue) as error:
            raise BadTask(
                f"a function test needs args, expected and entry_point: {error}"
            ) from None
        request = {"do": "call", "program": program, "entry_point": entry_point, "args": args}
        ran = self._sandbox.run(request, limits)
        # Equal values have as many parts, and none has more parts than its JSON has bytes.
        value, failure = returned(ran, limits, max(MAX_PARTS, len(to_bytes(expected))))
        if failure is not None:
            return failure
        if isinstance(checker, str):
            return self._check(checker, ["list", *args], value, expected)
        return _wrong(value_difference(expected, value, checker))

    def _print(
        self, task: dict[str, Any], program: str, test: dict[str, Any], limits: Limits
    ) -> Failure | None:
        checker = checker_of(task)
        try:
            given, expected = str(test["input"]), str(test["output"])
        except KeyError as error:
            raise BadTask(f"a stdio test needs input and output: no {error}") from None
        request = {"do": "print", "program": program, "input": given}
        ran = self._sandbox.run(request, limits)
        if ran.exceeded or ran.status:
            return ended(ran, limits)
        if isinstance(checker, str):
            try:
                text = ran.output.decode("utf-8")
            except UnicodeDecodeError:
                return _wrong("printed bytes that are not UTF-8")
            return self._check(checker, given, text, expected)
        return _wrong(output_difference(expected, ran.output, checker))

    def _check(self, source: str, given: Tree, found: Tree, expected: Tree) -> Failure | None:
        """Ask the task's checker, in a sandbox of its own. Only `True` is a yes.

        The values go there as trees: a program can return a set whose members all have the same
        hash, which would take ages to build out here.

        A checker that raises or exceeds its limits on this answer is asked about the expected one:
        if it does not accept that, the task is broken, else the answer is at fault.
        """
        said, failure = self._ask(source, given, found, expected)
        if failure is None:
            return None if said is True else _wrong("the task's checker does not accept it")
        control, control_failure = self._ask(source, given, expected, expected)
        if control_failure is not None or control is not True:
            detail = f"its checker fails on the expected answer: {control_failure or control!r}"
            raise BadTask(detail)
        return Failure(failure.outcome, f"the task's checker {failure.detail}")

    def _ask(
        self, source: str, given: Tree, found: Tree, expected: Tree
    ) -> tuple[Tree, Failure | None]:
        args = [given, found, expected]
        request = {"do": "call", "program": source, "entry_point": "check", "args": args}
        return returned(self._sandbox.run(request, CHECKER_LIMITS), CHECKER_LIMITS)


def _wrong(difference: str) -> Failure | None:
    return Failure(Outcome.WRONG, difference) if difference else None


def limits_of(task: dict[str, Any]) -> Limits:
    """The limits that a task sets for each of its tests.

    Raises:
        BadTask: one is no number or out of bounds.
    """
    found = {}
    for key, default, low, high in BOUNDS:
        value = task.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise BadTask(f"{key} is {value!r}; it must be a number from {low:g} to {high:g}")
        found[key] = value
    return Limits(
        wall_s=float(found["time_limit_s"]),
        memory_mib=int(found["memory_limit_mb"]),
        output_bytes=int(found["output_limit_mb"] * (1 << 20)),
    )


def list_tests(task: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All tests with a name each: visible, hidden, then those drawn for this call.

    Raises:
        BadTask: there are none, or one is no dictionary.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, key in (("visible", "visible_tests"), ("hidden", "hidden_tests"), ("drawn", "drawn")):
        tests = task.get(key) or []
        if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
            raise BadTask(f"{key} must be a list of dictionaries")
        found += [(f"{kind} test {number}", test) for number, test in enumerate(tests, 1)]
    if not found:
        raise BadTask("it has no visible_tests, hidden_tests or drawn_tests")
    return found


def checker_of(task: dict[str, Any]) -> Tolerance | str | None:
    """A tolerance for numbers, the source of a checker program, or None for exact equality.

    Raises:
        BadTask: no checker of that type, or one without what it needs.
    """
    match task.get("checker") or {"type": "exact"}:
        case {"type": "exact"}:
            return None
        case {"type": "float", **options} if _are_tolerances(options):
            return Tolerance(float(options.get("abs", 0)), float(options.get("rel", 0)))
        case {"type": "python", "source": str(source)}:
            return source
        case other:
            raise BadTask(
                f"checker {str(other)[:200]}; there are exact, float with abs and rel, "
                "and python with the source of check(inp, out, exp); abs and rel are numbers "
                "from 0 to 1e300"
            )


def _are_tolerances(options: dict[str, Any]) -> bool:
    return set(options) <= {"abs", "rel"} and all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e300
        for value in options.values()
    )
