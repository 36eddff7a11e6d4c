"""Mathematics benchmarks: which data set, which columns. Judged like any other data set.

What was looked up: ids, splits and columns of the hub's data sets, in dataset cards and in public
code that loads them (November 2026). What could not be is said with the benchmark.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

from envs.base import NoTasks, Split, Task
from envs.dataset import Dataset, Row, find_files


@dataclass(frozen=True)
class MathBenchmark(Dataset):
    """Questions with known answers, all of them held out.

    `path` may also name a local file with the same columns; it has one split only.
    """

    path: str = ""
    test_split: str = "test"  # pyright: ignore[reportIncompatibleVariableOverride]
    train_split: str = field(default="train", init=False)  # of files; nothing is trained on
    test_path: str | None = field(default=None, init=False)

    def draw(self, split: Split, seed: int, index: int) -> Task:
        if split == "train":
            raise NoTasks(
                f"'{self.path}' is a benchmark: all its questions are held out. To train on other "
                "splits of it, use the environment `dataset`"
            )
        return super().draw(split, seed, index)

    @cached_property
    def _rows(self) -> dict[Split, list[Row]]:
        in_files = find_files(self.path) is not None
        split = self.train_split if in_files else self.test_split
        return {"train": [], "test": self._read(self.path, self.config, split)}


@dataclass(frozen=True)
class Gsm8k(MathBenchmark):
    """Grade-school word problems (arXiv:2110.14168); 1,319, the answer behind `####`."""

    path: str = "openai/gsm8k"
    config: str | None = "main"
    answer_pattern: str = r"####\s*(.+)"


@dataclass(frozen=True)
class Math500(MathBenchmark):
    """500 problems of MATH (arXiv:2103.03874), chosen by arXiv:2305.20050."""

    path: str = "HuggingFaceH4/MATH-500"
    question_field: str = "problem"


@dataclass(frozen=True)
class Aime2024(MathBenchmark):
    """American Invitational Mathematics Examination 2024, I and II: 30 whole numbers to 999."""

    path: str = "HuggingFaceH4/aime_2024"
    test_split: str = "train"
    question_field: str = "problem"


@dataclass(frozen=True)
class Aime2025(MathBenchmark):
    """American Invitational Mathematics Examination 2025, I and II: 30 whole numbers to 999."""

    path: str = "math-ai/aime25"
    question_field: str = "problem"


@dataclass(frozen=True)
class Amc(MathBenchmark):
    """American Mathematics Competitions 12, 2023: 40 problems without their choices."""

    path: str = "math-ai/amc23"


@dataclass(frozen=True)
class Minerva(MathBenchmark):
    """272 questions of undergraduate courses (arXiv:2206.14858), answers with numbers or formulas.

    Several questions come from one course, which no column that could be verified names: the
    interval takes each for one of its own. Public code disagrees about the columns; most of it
    reads `question` and `answer`. References such as `4.5e33` are read as 4.5 times 10^33; a
    response has to write it out.
    """

    path: str = "math-ai/minervamath"

    def _answer(self, answer: object, where: str) -> str:
        text = super()._answer(answer, where)
        powers = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)[eE]([+-]?\d+)", text)
        return f"{powers[1]} \\times 10^{{{int(powers[2])}}}" if powers else text


@dataclass(frozen=True)
class OlympiadBench(MathBenchmark):
    """674 olympiad problems in English, text only, with final answers (arXiv:2402.14008).

    `final_answer` is a list; its members are taken for one answer, separated by commas. Its columns
    `unit`, and `error` with a tolerance for some answers, are not used: an answer has to be exact.
    Whether `context` ever holds text that the question needs could not be verified.
    """

    path: str = "Hothan/OlympiadBench"
    config: str | None = "OE_TO_maths_en_COMP"
    test_split: str = "train"
    answer_field: str = "final_answer"

    def _answer(self, answer: object, where: str) -> str:
        joined = ", ".join(map(str, answer)) if isinstance(answer, list) else answer
        return super()._answer(joined, where)
