"""Unit-test style: the task's own test file, run under the grader's control.

    style           "unittest"
    test_file       source: functions `test_*` and classes of `unittest`; it imports the program as
                    the module named in `module` (default "solution")
    expected_tests  the name of every test: `test_x` or `Class.test_x`

Program and tests run in two sandboxes and exchange plain data (verifiers/sandbox_units.py), one
fresh pair per test. A test counts if it ran and passed; a skipped or missing one does not.

What this style cannot do, as arguments and values travel as data: tests that need the program's
classes, generators, callbacks or changes to an argument in place. They fail, they are never
passed by mistake.
"""

from collections.abc import Iterator
from typing import Any

from verifiers.code_failure import BadTask, Failure, ended, returned
from verifiers.code_values import NotAValue, from_tree
from verifiers.sandbox_confine import Limits
from verifiers.sandbox_remote import AnySandbox
from verifiers.verdict import Outcome

TESTS_EXTRA_S = 2.0  # that the tests' end may live longer than the program's


def results(
    sandbox: AnySandbox, task: dict[str, Any], program: str, limits: Limits
) -> Iterator[tuple[str, Failure | None]]:
    """Each expected test's name, and why it failed if it did.

    Raises:
        BadTask: no test file, or no list of its tests.
    """
    source, module = task.get("test_file"), task.get("module", "solution")
    expected = task.get("expected_tests")
    if not isinstance(source, str) or not isinstance(module, str):
        raise BadTask("a unittest task needs its test_file as text")
    if not (isinstance(expected, list) and expected and all(isinstance(x, str) for x in expected)):
        raise BadTask("a unittest task needs expected_tests, the names of all tests of its file")
    if len(set(expected)) < len(expected):
        raise BadTask("expected_tests names a test twice")
    for name in expected:
        request = {"do": "test", "source": source, "module": module, "name": name}
        its_limits = limits._replace(wall_s=limits.wall_s + TESTS_EXTRA_S)
        jobs = [({"do": "serve", "program": program}, limits), (request, its_limits)]
        served, tested = sandbox.run_together(jobs)
        if served.exceeded or served.status or served.report:
            yield name, ended(served, limits)
            continue
        tree, failure = returned(tested, its_limits)
        yield name, failure or _failure(tree, expected)


def _failure(tree: Any, expected: list[str]) -> Failure | None:
    try:
        found, how, why = from_tree(tree)
    except (NotAValue, TypeError, ValueError) as error:
        return Failure(Outcome.WRONG, f"the tests ended in something unreadable: {error}")
    if how != "passed":
        return Failure(Outcome.WRONG, f"{how}: {why}")
    if sorted(found) != sorted(expected):
        detail = f"the file has {len(found)} tests, {len(expected)} are expected"
        return Failure(Outcome.WRONG, detail)
    return None
