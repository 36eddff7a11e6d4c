"""Tests drawn afresh: inputs from a generator, expected values from a reference solution.

    drawn_tests     {"generator": source of draw(seed), "reference": source, "count": n}
    seed            any JSON value; the same seed draws the same tests

`draw(seed)` gets a string that differs from test to test and returns the list of arguments
(function style) or the input text (stdio style). Generator and reference run in sandboxes of their
own; the reference's values go to the program's sandbox as little as any other expected value.
"""

import json
from typing import Any

from verifiers.code_failure import BadTask, ended, returned
from verifiers.code_values import from_tree
from verifiers.sandbox_confine import Limits
from verifiers.sandbox_remote import AnySandbox

MAX_COUNT = 1000
GENERATOR_LIMITS = Limits(wall_s=30.0)


def drawn_tests(sandbox: AnySandbox, task: dict[str, Any], limits: Limits) -> list[dict[str, Any]]:
    """The tests that this task draws for its seed; none if it draws none.

    Raises:
        BadTask: `drawn_tests` is not as described, or its generator or reference fails.
    """
    recipe = task.get("drawn_tests")
    if recipe is None:
        return []
    match recipe:
        case {"generator": str(generator), "reference": str(reference), "count": int(count)}:
            if isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
                raise BadTask(f"drawn_tests.count must be a number from 1 to {MAX_COUNT}")
        case _:
            raise BadTask("drawn_tests needs generator and reference (source) and count")
    tests = []
    for index in range(count):
        seed = json.dumps([task.get("task_id"), task.get("seed", 0), index])
        given = _called(sandbox, generator, "draw", [seed], GENERATOR_LIMITS)
        tests.append(_solved(sandbox, task, reference, given, limits))
    return tests


def _solved(
    sandbox: AnySandbox, task: dict[str, Any], reference: str, given: Any, limits: Limits
) -> dict[str, Any]:
    if task.get("style") == "function" and isinstance(given, list) and given[0] == "list":
        args = given[1:]
        value = _called(sandbox, reference, task["entry_point"], args, limits)
        return {"args": from_tree(given), "expected": from_tree(value)}
    if task.get("style") != "stdio" or not isinstance(given, str):
        raise BadTask("draw(seed) must return a list of arguments, or text in stdio style")
    ran = sandbox.run({"do": "print", "program": reference, "input": given}, limits)
    if ran.exceeded or ran.status:
        raise BadTask(f"its reference solution {ended(ran, limits).detail}")
    return {"input": given, "output": ran.output.decode("utf-8", "replace")}


def _called(sandbox: AnySandbox, source: str, name: str, args: list[Any], limits: Limits) -> Any:
    request = {"do": "call", "program": source, "entry_point": name, "args": args}
    tree, failure = returned(sandbox.run(request, limits), limits, most_parts=None)
    if failure is not None:
        raise BadTask(f"its {'generator' if name == 'draw' else 'reference'} {failure.detail}")
    return tree
