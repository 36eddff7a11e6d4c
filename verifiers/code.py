"""Does a program do what its task asks? Programs run in sandboxes; grading happens out here.

A task is a dictionary:

    task_id         names the task in messages; drawn tests depend on it
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
    has_no_number,
    output_difference,
    prints_no_number,
    value_difference,
)
from verifiers.code_draw import drawn_tests
from verifiers.code_failure import MAX_PARTS, BadTask, Failure, ended, returned
from verifiers.code_task import (
    Case,
    cases_of,
    checker_of,
    entry_point_of,
    limits_of,
    read_cases,
    style_of,
)
from verifiers.code_values import Tree, to_bytes
from verifiers.code_values import shown as shown_value
from verifiers.sandbox import SandboxError
from verifiers.sandbox_confine import Limits
from verifiers.sandbox_remote import open_sandbox
from verifiers.verdict import Outcome, Verdict, broken, shown, unparsed, wrong

VERSION = "code/1"
MAX_PROGRAM = 1 << 20  # characters
Checker = Tolerance | str | None  # a string is the source of a checker program
CHECKER_LIMITS = Limits(wall_s=10.0)  # a checker is the task author's

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
                return broken(f"task {task.get('task_id', '?')!s:.100}: {error}", self.verifier)
            except SandboxError as error:
                self._sandbox.stop()
                if attempt == 2:
                    return broken(f"the sandbox failed twice: {error}", self.verifier)
        raise AssertionError("unreachable")

    def _grade(self, task: dict[str, Any], program: str) -> Verdict:
        answer = shown(program)
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
            return Verdict(Outcome.CORRECT, 1.0, answer, "", self.verifier)
        failure, detail = first
        detail = f"{detail} ({passed} passed{'' if self._partial else ' before it'})"
        if self._partial and passed:
            return Verdict(Outcome.PARTIAL, passed / n_tests, answer, detail, self.verifier)
        if failure.outcome is Outcome.EXCEEDED:
            return Verdict(Outcome.EXCEEDED, 0.0, answer, detail, self.verifier)
        return wrong(answer, detail, self.verifier)

    def _results(self, task: dict[str, Any], program: str) -> Iterator[tuple[str, Failure | None]]:
        """Each test's name, and why it failed if it did."""
        style, limits = style_of(task), limits_of(task)
        if style == "unittest":
            yield from code_units.results(self._sandbox, task, program, limits)
            return
        checker, cases = checker_of(task), cases_of(task)
        entry_point = entry_point_of(task) if style == "function" else ""
        cases += read_cases("drawn", task, drawn_tests(self._sandbox, task, limits))
        for case in cases:
            if style == "function":
                yield case.name, self._call(program, entry_point, case, limits, checker)
            else:
                yield case.name, self._print(program, case, limits, checker)

    def _call(
        self, program: str, entry_point: str, case: Case, limits: Limits, checker: Checker
    ) -> Failure | None:
        expected, args = case.expected, case.given
        request = {"do": "call", "program": program, "entry_point": entry_point, "args": args}
        ran = self._sandbox.run(request, limits)
        # Equal values have as many parts, and none has more parts than its JSON has bytes.
        value, failure = returned(ran, limits, max(MAX_PARTS, len(to_bytes(expected))))
        if failure is not None:
            return failure
        if not isinstance(checker, str):
            return _wrong(value_difference(expected, value, checker))
        if has_no_number(value) and not has_no_number(expected):
            return _wrong(f"returned {shown_value(value)}: NaN or infinity, which is not expected")
        return self._check(checker, ["list", *args], value, expected)

    def _print(self, program: str, case: Case, limits: Limits, checker: Checker) -> Failure | None:
        request = {"do": "print", "program": program, "input": case.given}
        ran = self._sandbox.run(request, limits)
        if ran.exceeded or ran.status:
            return ended(ran, limits)
        if not isinstance(checker, str):
            return _wrong(output_difference(case.expected, ran.output, checker))
        try:
            text = ran.output.decode("utf-8")
        except UnicodeDecodeError:
            return _wrong("printed bytes that are not UTF-8")
        if prints_no_number(text) and not prints_no_number(case.expected or ""):
            return _wrong("printed NaN or infinity, which is not expected")
        return self._check(checker, case.given, text, case.expected)

    def _check(self, source: str, given: Tree, found: Tree, expected: Tree) -> Failure | None:
        """Ask the task's checker, in a sandbox of its own. Only `True` is a yes.

        The values go there as trees: a program can return a set whose members all have the same
        hash, which would take ages to build out here.

        A checker that raises or exceeds its limits on this answer is asked about the expected one:
        if it does not accept that, the task is broken, else the answer is at fault. Where no answer
        is known to be right, the task is broken if its checker cannot even be loaded.
        """
        said, failure = self._ask(source, given, found, expected)
        if failure is None:
            return None if said is True else _wrong("the task's checker does not accept it")
        if expected is None:
            self._load(source)
            return Failure(failure.outcome, f"the task's checker {failure.detail}")
        control, control_failure = self._ask(source, given, expected, expected)
        if control_failure is not None or control is not True:
            detail = f"its checker fails on the expected answer: {control_failure or control!r}"
            raise BadTask(detail)
        return Failure(failure.outcome, f"the task's checker {failure.detail}")

    def _load(self, source: str) -> None:
        """Raises BadTask: a checker's source fails, or defines no `check`."""
        program = f"{source}\n\ndef loads(): return callable(check)\n"
        request = {"do": "call", "program": program, "entry_point": "loads", "args": []}
        found, failure = returned(self._sandbox.run(request, CHECKER_LIMITS), CHECKER_LIMITS)
        if failure is not None or found is not True:
            raise BadTask(f"its checker cannot be loaded: {failure.detail if failure else found!r}")

    def _ask(
        self, source: str, given: Tree, found: Tree, expected: Tree
    ) -> tuple[Tree, Failure | None]:
        args = [given, found, expected]
        request = {"do": "call", "program": source, "entry_point": "check", "args": args}
        return returned(self._sandbox.run(request, CHECKER_LIMITS), CHECKER_LIMITS)


def _wrong(difference: str) -> Failure | None:
    return Failure(Outcome.WRONG, difference) if difference else None
