"""The benchmarks, on small files with the columns of the hub's data sets."""

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from envs import BENCHMARKS
from envs.base import EnvError, NoTasks
from envs.program_benchmarks import private_tests, with_imports
from envs.registry import find_class, job, judge, make_env
from verifiers.verdict import Outcome

Row = dict[str, Any]

CHECK = """
import numpy as np

def is_floats(x) -> bool:
    return isinstance(x, float) or isinstance(x, np.ndarray)

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        np.testing.assert_allclose(out, exp, atol=atol)
    else:
        assert out == exp
"""
TESTS = "\nfor inp, exp in zip([[3], [4.0]], [1.5, 2.0]):\n    assertion(half(*inp), exp, 0)\n"
FUNCTION = 'import math\n\ndef helper(x):\n    return x / 2\n\ndef half(x):\n    """Half of x."""\n'
HUMAN_EVAL = {
    "task_id": "HumanEval/0",
    "prompt": FUNCTION,
    "entry_point": "half",
    "canonical_solution": "    return helper(math.fsum([x]))\n",
    # Uses a helper of the prompt, as some of the real tests do.
    "test": "def check(candidate):\n    assert candidate(4) == 2\n    assert helper(2) == 1\n",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function that joins two lines.",
    "code": 'def join(a, b):\n    return a + "\\n" + b',
    "test_list": ['assert join("x", "y") == """x\ny"""', "assert join('', '') == '\\n'"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
MBPP_PLUS = {
    "task_id": 2,
    "code": "def half(x):\n    return x / 2",
    "prompt": "Write a function to halve a number.",
    "source_file": "x",
    "test_imports": ["import math"],
    "test_list": ["assert half(2) == 1"],
    "test": CHECK + TESTS,
}
HIDDEN = [{"input": "[3, 4]\n5", "output": "[8, 9]", "testtype": "functional"}]
LIVE = {
    "question_id": "1",
    "question_content": "Add k to every number.",
    "starter_code": "class Solution:\n    def add(self, ns: List[int], k: int):\n        ",
    "public_test_cases": json.dumps(
        [{"input": "[1]\n2", "output": "[3]", "testtype": "functional"}]
    ),
    "private_test_cases": base64.b64encode(
        zlib.compress(pickle.dumps(json.dumps(HIDDEN)))
    ).decode(),
    "metadata": '{"func_name": "add"}',
}
LIVE_STDIN = {
    **LIVE,
    "question_id": "2",
    "question_content": "Print the sum.",
    "starter_code": "",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps([{"input": "4 5", "output": "9", "testtype": "stdin"}]),
    "metadata": "{}",
}
ADD = "class Solution:\n    def add(self, ns: List[int], k):\n        return [n + k for n in ns]"
PROBLEM = {"problem": "What is 1 + 1?", "answer": "2"}
ROWS: dict[str, Row] = {
    "aime_2024": {**PROBLEM, "answer": "025", "solution": "\\boxed{025}"},
    "aime_2025": {**PROBLEM, "id": "1"},
    "amc": {"question": "What is 1 + 1?", "answer": "2.0", "url": ""},
    "gsm8k": {"question": "What is 999 + 1?", "answer": "Add one.\n#### 1,000"},
    "humaneval": HUMAN_EVAL,
    "humaneval_plus": {
        **HUMAN_EVAL,
        "test": f"{CHECK}\ndef check(candidate):\n    assertion(candidate(3), 1.5, 0)\n",
    },
    "livecodebench": LIVE,
    "math_500": {**PROBLEM, "answer": "\\frac{1}{2}", "solution": "", "level": 1},
    "mbpp": MBPP,
    "mbpp_plus": MBPP_PLUS,
    "minerva": {"question": "How fast?", "answer": "2.5e8"},
    "olympiad_bench": {"question": "Find all x.", "final_answer": ["1", "2"], "error": None},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(file: Path, *rows: Row) -> str:
    if file.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows).to_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_every_benchmark_has_rows_here() -> None:
    assert set(ROWS) == set(BENCHMARKS)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("name", [n for n in ROWS if find_class(n).answers == "math"])
def test_a_mathematics_benchmark_reads_its_columns_from_a_file(
    name: str, suffix: str, tmp_path: Path
) -> None:
    env = make_env(name, {"path": write(tmp_path / f"rows{suffix}", ROWS[name])})
    task = env.draw("test", 0, 0)
    assert env.draw("test", 0, 1) == task  # there is but one
    assert env.verify(task, env.solve(task)).outcome is Outcome.CORRECT
    assert env.verify(task, "\\boxed{77}").outcome is Outcome.WRONG
    with pytest.raises(NoTasks, match="is a benchmark"):
        env.draw("train", 0, 0)


def test_the_answers_are_those_of_the_rows(tmp_path: Path) -> None:
    def truth(name: str) -> Any:
        path = write(tmp_path / f"{name}.jsonl", ROWS[name])
        return make_env(name, {"path": path}).draw("test", 0, 0)

    assert truth("gsm8k").truth == "1,000"
    assert truth("olympiad_bench").truth == "1, 2"
    assert truth("minerva").truth == "2.5 \\times 10^{8}"
    aime = make_env("aime_2024", {"path": str(tmp_path / "aime_2024.jsonl")})
    assert aime.verify(truth("aime_2024"), "\\boxed{25}").outcome is Outcome.CORRECT


@pytest.mark.parametrize("name", ["humaneval", "humaneval_plus", "mbpp", "mbpp_plus"])
def test_a_programming_benchmark_accepts_its_solutions_and_refuses_others(
    name: str, tmp_path: Path
) -> None:
    options = {"path": write(tmp_path / "rows.jsonl", ROWS[name]), "time_limit_s": 120.0}
    env = make_env(name, options)
    task = env.draw("test", 0, 0)
    assert json.loads(json.dumps(task.truth)) == task.truth
    verdict = judge(job(name, options, task, env.solve(task)))
    assert (verdict.outcome, verdict.detail) == (Outcome.CORRECT, "")
    function = "join(a, b)" if name == "mbpp" else "half(x)"
    wrong = f"```python\ndef {function}:\n    return 7\n```"
    assert env.verify(task, wrong).outcome is Outcome.WRONG
    assert env.verify(task, "def half(x): return x / 2").outcome is Outcome.UNPARSED


def test_an_answer_may_leave_out_what_the_prompt_has(tmp_path: Path) -> None:
    """Imports and helpers before the function, as completions of the prompt do."""
    path = write(tmp_path / "rows.jsonl", HUMAN_EVAL)
    env = make_env("humaneval", {"path": path, "time_limit_s": 120.0})
    answer = "```python\ndef half(x):\n    return helper(math.fsum([x]))\n```"
    assert env.verify(env.draw("test", 0, 0), answer).outcome is Outcome.CORRECT


def test_contest_problems_are_judged_by_what_they_return_or_print(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", LIVE, LIVE_STDIN)
    env = make_env("livecodebench", {"path": path, "time_limit_s": 120.0})
    assert env.n_tasks("test") == 2
    tasks = {task.truth["task_id"]: task for task in (env.draw("test", 0, i) for i in (0, 1))}
    assert len(tasks["1"].truth["hidden_tests"]) == 2
    assert env.solve(tasks["1"]) is None
    assert env.verify(tasks["1"], f"```python\n{ADD}\n```").outcome is Outcome.CORRECT
    off = ADD.replace("n + k", "n + 2")
    assert env.verify(tasks["1"], f"```python\n{off}\n```").outcome is Outcome.WRONG
    total = "```python\nprint(sum(map(int, input().split())))\n```"
    assert env.verify(tasks["2"], total).outcome is Outcome.CORRECT


class Raises:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('it was run')",)


@pytest.mark.parametrize("hidden", [Raises(), [Raises(), "[]"], 7, ["a", "b"]])
def test_a_pickle_of_anything_but_a_text_is_refused_and_never_run(hidden: Any) -> None:
    text = base64.b64encode(zlib.compress(pickle.dumps(hidden))).decode()
    with pytest.raises(ValueError, match="private_test_cases"):
        private_tests(text)


@pytest.mark.parametrize("text", ["", "!!!", "AAAA", base64.b64encode(b"x").decode()])
def test_private_tests_that_are_nothing_known_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="private_test_cases cannot be read"):
        private_tests(text)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_private_tests_are_read_whatever_the_pickle_was_written_in(protocol: int) -> None:
    pickled = pickle.dumps(json.dumps(HIDDEN), protocol)
    assert private_tests(base64.b64encode(zlib.compress(pickled)).decode()) == HIDDEN


def test_tests_import_from_the_program_what_they_do_not_define() -> None:
    source = with_imports("import math\ndef t(a):\n    b = f(a)\n    assert len(g(b)) == math.pi\n")
    assert source.startswith("from solution import f, g\n")
    assert with_imports("assert 1 == 1\n") == "assert 1 == 1\n"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("mbpp", {**MBPP, "test_list": ["assert ("]}, "row 1: its tests are no Python"),
        ("humaneval", {**HUMAN_EVAL, "entry_point": "f"}, "does not define 'f'"),
        ("livecodebench", {**LIVE, "private_test_cases": "?"}, "private_test_cases cannot be read"),
        ("mbpp", {"text": "x"}, "no column 'test_list'; it has text"),
        ("gsm8k", {"question": "x", "solution": "1"}, "has no field 'answer'"),
    ],
)
def test_a_file_that_is_not_the_benchmark_is_an_error_that_says_so(
    name: str, row: Row, said: str, tmp_path: Path
) -> None:
    env = make_env(name, {"path": write(tmp_path / "rows.jsonl", row)})
    with pytest.raises(EnvError, match=said.replace("(", r"\(")):
        env.draw("test", 0, 0)


@pytest.mark.parametrize("option", ["train_split", "test_path"])
def test_a_benchmark_has_no_options_for_training(option: str) -> None:
    with pytest.raises(EnvError, match=f"unknown option '{option}'"):
        make_env("gsm8k", {option: "train"})


def test_programs_may_be_called_like_a_test_or_a_builtin_and_tests_use_modules():
    found = with_imports("assert sum(1, 2) == sys.getsizeof(test_it(1))", "def sum(a, b): pass")
    assert found.splitlines()[:2] == ["import sys", "from solution import sum, test_it"]
    assert "sum" not in with_imports("assert f(1) == sum([1])", "def f(x): pass").split("assert")[0]
