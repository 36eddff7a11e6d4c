"""Benchmarks with their own reference solutions as answers: all should be accepted.

python -m benchmarks.references --data DIR [NAME ...]

DIR holds gsm8k_test.jsonl, math500.jsonl, humaneval.jsonl and mbpp.jsonl, the first two with
columns `question`, `solution` and `gold`, the others with those of the data sets. Prints how many
are accepted, and every refusal with its reason.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from envs.base import Env, Task
from envs.registry import make_env
from verifiers.verdict import Outcome

TIME_LIMIT_S = 120.0  # so that nothing fails because the machine is busy


class Reference(NamedTuple):
    file: str
    options: dict[str, Any]
    solution: str | None  # column; None: the environment knows it


REFERENCES = {
    "gsm8k": Reference("gsm8k_test.jsonl", {"answer_field": "solution"}, "solution"),
    "math_500": Reference(
        "math500.jsonl", {"question_field": "question", "answer_field": "gold"}, "solution"
    ),
    "humaneval": Reference("humaneval.jsonl", {"time_limit_s": TIME_LIMIT_S}, None),
    "mbpp": Reference("mbpp.jsonl", {"time_limit_s": TIME_LIMIT_S}, None),
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.references", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of JSON lines")
    parser.add_argument("names", nargs="*", default=list(REFERENCES), metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(measure(name, arguments.data), flush=True)


def measure(name: str, data: Path) -> str:
    """How many reference solutions are accepted, and a line for each that is not."""
    reference = REFERENCES[name]
    file = data / reference.file
    env = make_env(name, {"path": str(file), **reference.options})
    env.prepare()
    answer = _answers(env, file, reference.solution)
    tasks = _tasks(env)
    refused: list[str] = []
    for task in tasks:
        verdict = env.verify(task, answer(task))
        if verdict.outcome is not Outcome.CORRECT:
            shown = task.messages[-1].content[:80]
            refused.append(f"  {verdict.outcome}: {verdict.detail} ({shown!r})")
    accepted = len(tasks) - len(refused)
    return "\n".join([f"{name}: {accepted:,} of {len(tasks):,} accepted", *refused])


def _tasks(env: Env) -> list[Task]:
    """All tasks of a benchmark: the first that comes again ends them."""
    found: dict[str, Task] = {}
    while (task := env.draw("test", 0, len(found))).key not in found:
        found[task.key] = task
    return list(found.values())


def _answers(env: Env, file: Path, column: str | None) -> Callable[[Task], str]:
    if column is None:
        return env.solve
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    by_question = {row["question"].strip(): row[column] for row in rows}
    return lambda task: by_question[task.messages[-1].content.rpartition("\n\n")[0].strip()]


if __name__ == "__main__":
    main()
