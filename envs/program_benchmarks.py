"""Programming benchmarks: which data set, which columns, and how its tests are run.

What was looked up: ids, splits and columns of the hub's data sets, in dataset cards and in public
code that loads them (November 2026). What could not be is said with the benchmark.
"""

import ast
import base64
import builtins
import json
import pickletools
import sys
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, ClassVar, Literal

from envs.base import Env, EnvError, Isolation, NoTasks, Split, Task, check_range
from envs.dataset import find_files, load_rows, permutation
from envs.numpy_stand_in import NUMPY
from envs.programs import fenced, grader, isolation_of
from verifiers import code
from verifiers.attack.attacker import Answers
from verifiers.sandbox import SandboxError
from verifiers.sandbox_remote import check_url
from verifiers.verdict import Verdict, unparsed

ONE_TEST = "test_all"  # what all assertions of a task are together


@dataclass(frozen=True)
class ProgramBenchmark(Env):
    """Programs that have to pass the tests of a data set, all of them held out.

    Subclass with `task_of`. The truth of a task is what verifiers/code.py grades by, with two keys
    more: `preamble`, source that the program is put behind, and `solution`, a program or null.
    """

    answers: ClassVar[Answers] = "program"

    path: str = ""
    """A data set on the hub, or a local .jsonl or .parquet file with the same columns."""

    config: str | None = None
    """Configuration of the hub data set at `path`."""

    test_split: str = "test"
    """Name of the hub's split; a file has only one."""

    instruction: str = "Answer with the whole program in one ```python block."
    """Ends the prompt."""

    time_limit_s: float = 20.0
    """Wall-clock seconds for each test, 1 to 300."""

    sandbox: Literal["landlock", "container", "namespaces"] = "namespaces"
    """The weakest isolation to run programs in; where there is none as strong, nothing is run."""

    sandbox_url: str | None = None
    """Where an `assay sandbox` runs the programs, such as `http://10.0.0.7:8900`; None: here."""

    def __post_init__(self) -> None:
        check_range("time_limit_s", self.time_limit_s, 1, 300)
        if self.sandbox_url is not None:
            check_url(self.sandbox_url)

    @abstractmethod
    def task_of(self, row: Mapping[str, Any]) -> Task:
        """The task of a row.

        Raises:
            KeyError: the row lacks a column.
            ValueError: a column holds something else than it should.
        """

    def task(self, rng: Random) -> Task:
        return rng.choice(self._tasks)

    def n_tasks(self, split: Split) -> int:
        return len(self._tasks) if split == "test" else 0

    def draw(self, split: Split, seed: int, index: int) -> Task:
        """`index` counts through one permutation of the tasks after another."""
        if split == "train":
            raise NoTasks(f"'{self.path}' is a benchmark: all its tasks are held out")
        epoch, place = divmod(index, len(self._tasks))
        return self._tasks[permutation(len(self._tasks), f"test/{seed}/{epoch}")[place]]

    def verify(self, task: Task, response: str) -> Verdict:
        program = code.program_of(response)
        if program is None:
            return unparsed("no program in a closed ```python block", code.VERSION)
        whole = f"{task.truth['preamble']}\n\n{program}"
        return grader(self.sandbox, self.sandbox_url).grade(task.truth, whole)

    def solve(self, task: Task) -> str | None:
        """The data set's own solution; None where it has none."""
        solution = task.truth["solution"]
        return None if solution is None else fenced(solution)

    def prepare(self) -> None:
        grader(self.sandbox, self.sandbox_url)

    def isolation(self) -> Isolation:
        try:
            return isolation_of(self.sandbox, self.sandbox_url)
        except (SandboxError, ValueError) as error:
            raise EnvError(str(error)) from error

    @cached_property
    def _tasks(self) -> list[Task]:
        split = "train" if find_files(self.path) is not None else self.test_split
        rows = load_rows(self.path, self.config, split)
        found: dict[str, Task] = {}
        for number, row in enumerate(rows, 1):
            where = f"'{self.path}' ({split}), row {number}"
            try:
                task = self.task_of(row)  # pyright: ignore[reportArgumentType]
            except KeyError as error:
                columns = ", ".join(rows.column_names)
                raise EnvError(f"{where}: no column {error}; it has {columns}") from error
            except (ValueError, TypeError) as error:
                raise EnvError(f"{where}: {error}") from error
            found.setdefault(task.key, task)
        if not found:
            raise NoTasks(f"data set '{self.path}' ({split}) has no rows")
        return list(found.values())

    def _unittest(
        self, prompt: str, tests: str, *, name: str, preamble: str, solution: str
    ) -> Task:
        """A task whose tests are Python source that raises where a program is wrong."""
        return Task(
            f"{prompt}\n\n{self.instruction}",
            {
                "task_id": name,
                "style": "unittest",
                "test_file": tests,
                "expected_tests": [ONE_TEST],
                "time_limit_s": self.time_limit_s,
                "preamble": preamble,
                "solution": solution,
            },
        )


@dataclass(frozen=True)
class HumanEval(ProgramBenchmark):
    """164 functions to complete (arXiv:2107.03374).

    What stands before the function in the prompt, imports and helpers, is put before the answer.
    """

    path: str = "openai/openai_humaneval"

    def task_of(self, row: Mapping[str, Any]) -> Task:
        prompt, entry_point = row["prompt"], row["entry_point"]
        preamble, _ = _split_at(prompt, entry_point)
        tests = f"{row['test']}\n\ndef {ONE_TEST}():\n    check({entry_point})\n"
        return self._unittest(
            f"Complete this function.\n\n```python\n{prompt.rstrip()}\n```",
            with_imports(tests),
            name=row["task_id"],
            preamble=preamble,
            solution=prompt + row["canonical_solution"],
        )


@dataclass(frozen=True)
class HumanEvalPlus(HumanEval):
    """HumanEval with about 80 times as many tests (arXiv:2305.01210).

    The columns are those of HumanEval. Its tests compare with numpy, which sandboxes do not have:
    a stand-in for the few functions in use is put in its place. Not run on the data themselves.
    """

    path: str = "evalplus/humanevalplus"
    time_limit_s: float = 60.0


@dataclass(frozen=True)
class Mbpp(ProgramBenchmark):
    """500 short tasks with three assertions each, which the prompt shows (arXiv:2108.07732).

    Tests that need a class of the program itself, or hand it a type, fail whatever the answer, as
    only plain data travels (verifiers/code_units.py): docs/scores.md lists them.
    """

    path: str = "google-research-datasets/mbpp"
    config: str | None = "full"

    def task_of(self, row: Mapping[str, Any]) -> Task:
        asserts = "\n".join(row["test_list"])
        return self._unittest(
            f"{row['text']}\nThe program has to pass these tests:\n```python\n{asserts}\n```",
            _as_test(with_imports(f"{row['test_setup_code']}\n{asserts}", row["code"])),
            name=f"mbpp/{row['task_id']}",
            preamble="",
            solution=row["code"],
        )


@dataclass(frozen=True)
class MbppPlus(ProgramBenchmark):
    """378 of MBPP's tasks with about 35 times as many tests (arXiv:2305.01210).

    `test` is a program that raises where an answer is wrong; see HumanEvalPlus about numpy. Not run
    on the data themselves.
    """

    path: str = "evalplus/mbppplus"
    time_limit_s: float = 60.0

    def task_of(self, row: Mapping[str, Any]) -> Task:
        asserts = "\n".join(row["test_list"])
        return self._unittest(
            f"{row['prompt']}\nThe program has to pass these tests:\n```python\n{asserts}\n```",
            _as_test(with_imports(row["test"], row["code"])),
            name=f"mbpp/{row['task_id']}",
            preamble="\n".join(row["test_imports"]),
            solution=row["code"],
        )


@dataclass(frozen=True)
class LiveCodeBench(ProgramBenchmark):
    """Contest problems by date (arXiv:2403.07974). A configuration names what is taken: all up to a
    release, `release_v6`, or what came with one only, `v6`.

    Read from a copy of the hub's data set without loading script. There are no solutions. What a
    program prints must be equal but for spaces at the ends of lines; a problem that accepts several
    answers is judged by the one that is given, as by the benchmark's own checker.
    """

    path: str = "lighteval/code_generation_lite"
    config: str | None = "release_v6"
    time_limit_s: float = 6.0  # as the benchmark's own checker

    def task_of(self, row: Mapping[str, Any]) -> Task:
        starter = row["starter_code"] or ""
        tests = json.loads(row["public_test_cases"]) + private_tests(row["private_test_cases"])
        truth: dict[str, Any] = {
            "task_id": row["question_id"],
            "time_limit_s": self.time_limit_s,
            "preamble": "",
            "solution": None,
        }
        if tests and tests[0]["testtype"] == "functional":
            how = f"Complete this program.\n\n```python\n{starter.rstrip()}\n```"
            name = json.loads(row["metadata"])["func_name"]
            truth |= {"style": "function", "entry_point": f"Solution.{name}"}
            truth["hidden_tests"] = [
                {
                    "args": [json.loads(line) for line in test["input"].split("\n")],
                    "expected": json.loads(test["output"]),
                }
                for test in tests
            ]
            truth["preamble"] = "from typing import *"
        else:
            how = "The program reads standard input and prints the answer."
            truth |= {"style": "stdio"}
            truth["hidden_tests"] = [{"input": t["input"], "output": t["output"]} for t in tests]
        return Task(f"{row['question_content']}\n\n{how}\n\n{self.instruction}", truth)


def private_tests(text: str) -> list[dict[str, Any]]:
    """The tests of LiveCodeBench that are not shown: JSON, or JSON in a string that was pickled,
    compressed and written in base64. A pickle is a program, so it is not loaded: a string is read
    out of it if that is all there is in it.

    Raises:
        ValueError: it is neither.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        pickled = zlib.decompress(base64.b64decode(text, validate=True))
        steps = [(step.name, argument) for step, argument, _ in pickletools.genops(pickled)]
    except (ValueError, zlib.error) as error:
        raise ValueError(f"private_test_cases cannot be read: {error}") from error
    texts = [argument for name, argument in steps if "UNICODE" in name]
    others = {name for name, _ in steps if "UNICODE" not in name}
    if len(texts) != 1 or others - {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "PUT", "STOP"}:
        raise ValueError("private_test_cases is a pickle of something else than a string")
    return json.loads(str(texts[0]))


def with_imports(tests: str, solution: str = "") -> str:
    """Test source, with what it uses and does not define imported from the program.

    A name that is only ever looked into, and is that of a standard module, is that module. One of a
    builtin is the program's if the data set's own solution defines it.

    Raises:
        ValueError: it is no Python.
    """
    tree = _parsed(tests)
    own = {node.name for node in _parsed(solution).body if isinstance(node, ast.FunctionDef)}
    used, defined = set[str](), set[str](dir(builtins)) - own
    looked_into = Counter(
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    )
    loaded = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).partition(".")[0])
    modules = {x for x in looked_into if looked_into[x] == loaded[x]} & sys.stdlib_module_names
    missing = sorted(used - defined - modules)
    numpy = NUMPY if "numpy" in tests else ""
    imports = "".join(f"import {name}\n" for name in sorted((used - defined) & modules))
    imports += f"from solution import {', '.join(missing)}\n" if missing else ""
    return f"{numpy}{imports}{tests}"


def _as_test(statements: str) -> str:
    """Statements as the body of the one test, whatever strings over several lines they hold; what
    they import from a program is then no test of the file, even if it is called `test_it`."""
    tree = ast.parse(f"def {ONE_TEST}():\n    pass\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body += _parsed(statements).body
    return ast.unparse(tree)


def _parsed(tests: str) -> ast.Module:
    try:
        return ast.parse(tests)
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"its tests are no Python: {error}") from error


def _split_at(prompt: str, entry_point: str) -> tuple[str, str]:
    """A prompt before the function that is to be completed, and from there on."""
    at = prompt.rfind(f"def {entry_point}(")
    if at < 0:
        raise ValueError(f"its prompt does not define '{entry_point}'")
    return prompt[:at], prompt[at:]
