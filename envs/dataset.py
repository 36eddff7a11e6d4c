"""Questions with known answers, from the hub or from files."""

import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property, lru_cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

from envs.base import HELD_OUT_SHARE, Env, EnvError, NoTasks, Split, Task, unguessable
from verifiers import math
from verifiers.strict import is_number, verify_plain
from verifiers.verdict import Verdict

if TYPE_CHECKING:
    import datasets

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
EXACT = 2**53  # whole numbers up to here are floats exactly
BOXED = "Put your final answer in \\boxed{}."


class Row(NamedTuple):
    task: Task
    family: str | None  # what is in `family_field`, if anything


@dataclass(frozen=True)
class Dataset(Env):
    r"""Questions and reference answers; a response is judged by its final answer, exactly.

    For GSM8K: `path: openai/gsm8k`, `config: main`, `test_split: test`, `answer_pattern:
    '####\s*(.+)'`. For MATH-style data: `question_field: problem`, `answer_field: solution`.

    Held out is what `test_path` or `test_split` says; without either, a share of the rows by the
    hash of the question. Questions that occur in both are left out of the test split.
    """

    path: str
    """A data set on the hub, a local .jsonl or .parquet file, or a directory of such files."""

    config: str | None = None
    """Configuration of the hub data set at `path`, such as `main`."""

    train_split: str = "train"
    """Name of the split to train on; files have only this one."""

    test_split: str | None = None
    """Name of the split to evaluate on; a single file has none."""

    test_path: str | None = None
    """A second data set or file to evaluate on; its split is `test_split`, or else `train`."""

    question_field: str = "question"
    answer_field: str = "answer"

    answer_pattern: str = ""
    """Where the final answer stands in the answer field: the last match's first group. Empty: the
    field is the answer, or its last `\\boxed{...}` if it has one."""

    family_field: str | None = None
    """Column that is alike in questions of one origin, such as the template or the text that they
    are about: they are right or wrong together, so intervals of scores go by it. A question for
    which it is null stands alone."""

    contradictions: Literal["refuse", "drop"] = "refuse"
    """What is done about a question that comes twice with answers that differ as text (`1/2` and
    `0.5` do). refuse: the data set is refused, and two rows are named; drop: such questions are
    left out."""

    instruction: str = BOXED
    """Follows the question, after an empty line."""

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.answer_pattern).groups
        except re.error as error:
            raise ValueError(f"answer_pattern is no regular expression: {error}") from error
        if self.answer_pattern and groups < 1:
            raise ValueError("answer_pattern needs a group (...) around the answer")

    def task(self, rng: Random) -> Task:
        """A row of either split."""
        rows = self._rows
        return rng.choice([*rows["train"], *rows["test"]]).task

    def draw(self, split: Split, seed: int, index: int) -> Task:
        """`index` counts through one permutation of the split after another.

        So no question comes twice before the permutation is through. Where one environment is all
        that is trained on, every question comes once; in a mixture `index` counts the tasks of all
        environments, and the places that fall to others are skipped.

        Raises:
            NoTasks: the split is empty.
            EnvError: the data cannot be read; the message says what is there instead.
        """
        rows = self._rows[split]
        if not rows:
            raise NoTasks(
                f"data set '{self.path}' has no {split} questions left: give it more rows, or "
                "name another test_split or test_path"
            )
        epoch, place = divmod(index, len(rows))
        return rows[permutation(len(rows), f"{split}/{seed}/{epoch}")[place]].task

    def n_tasks(self, split: Split) -> int | None:
        return len(self._rows[split])

    def family(self, task: Task) -> str | None:
        return self._families[task.key] if self.family_field is not None else None

    def verify(self, task: Task, response: str) -> Verdict:
        return math.verify_math(task.truth, response, self._question(task))

    def canary(self, rng: Random) -> Task:
        """The first half of a question."""
        words = self._question(self.task(rng)).split(" ")
        return Task(self._instructed(" ".join(words[: len(words) // 2])), unguessable(rng))

    def recheck(self, task: Task, response: str) -> Verdict:
        """By narrow rules where the answer is a number; others are judged without short cuts, since
        honest ways to write a formula are too many for narrow rules."""
        question = self._question(task)
        if is_number(task.truth):
            return verify_plain(task.truth, response, question)
        return math.verify_without_short_cuts(task.truth, response, question)

    def _question(self, task: Task) -> str:
        return task.messages[-1].content.removesuffix(f"\n\n{self.instruction}")

    def _instructed(self, question: str) -> str:
        return f"{question}\n\n{self.instruction}" if self.instruction else question

    def solve(self, task: Task) -> str:
        return f"\\boxed{{{task.truth}}}"

    def prepare(self) -> None:
        math.preload()

    @cached_property
    def _families(self) -> dict[str, str | None]:
        return {row.task.key: row.family for rows in self._rows.values() for row in rows}

    @cached_property
    def _rows(self) -> dict[Split, list[Row]]:
        train = self._read(self.path, self.config, self.train_split)
        if self.test_path is not None:
            test = self._read(self.test_path, None, self.test_split or "train")
        elif self.test_split is not None:
            test = self._read(self.path, self.config, self.test_split)
        else:
            return {
                "train": [row for row in train if not held_out(row.task)],
                "test": [row for row in train if held_out(row.task)],
            }
        seen = {row.task.key for row in train}
        return {"train": train, "test": [row for row in test if row.task.key not in seen]}

    def _read(self, path: str, config: str | None, split: str) -> list[Row]:
        """The distinct questions of a data set, in its order.

        Raises:
            EnvError: a row has no question or no answer, or two have one question and two answers.
        """
        rows = load_rows(path, config, split)
        for option in ("question_field", "answer_field", "family_field"):
            name = getattr(self, option)
            if name is not None and name not in rows.column_names:
                near = get_close_matches(name, rows.column_names, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise EnvError(
                    f"{option}: '{path}' ({split}) has no field '{name}'; it has "
                    f"{', '.join(rows.column_names)}{hint}"
                )
        if getattr(rows.features[self.answer_field], "dtype", None) in ("float16", "float32"):
            raise EnvError(
                f"'{path}' ({split}): '{self.answer_field}' is a column of short floating-point "
                "numbers, which are not those that were written into it (.1 is "
                "0.10000000149011612): write the answers as text"
            )
        found: dict[str, tuple[int, Row]] = {}  # with the number of the row
        contradicted: set[str] = set()
        families = rows[self.family_field] if self.family_field else [None] * len(rows)
        columns = zip(rows[self.question_field], rows[self.answer_field], families, strict=True)
        for number, (question, answer, family) in enumerate(columns, 1):
            where = f"'{path}' ({split}), row {number}"
            task = Task(self._prompt(question, where), self._answer(answer, where))
            row = Row(task, None if family is None else str(family))
            first, kept = found.setdefault(task.key, (number, row))
            if kept.task.truth == task.truth:
                continue
            if self.contradictions == "refuse":
                raise EnvError(
                    f"'{path}' ({split}), rows {first} and {number} have the same question and "
                    f"different answers, {kept.task.truth[:100]!r} and {task.truth[:100]!r}: mend "
                    "one, or leave out all such questions with the option contradictions=drop"
                )
            contradicted.add(task.key)
        return [row for key, (_, row) in found.items() if key not in contradicted]

    def _prompt(self, question: object, where: str) -> str:
        if not isinstance(question, str) or not question.strip():
            raise EnvError(f"{where}: '{self.question_field}' is no text: {question!r}")
        return self._instructed(question)

    def _answer(self, answer: object, where: str) -> str:
        text = answer
        if isinstance(answer, float) and answer.is_integer() and abs(answer) >= EXACT:
            raise EnvError(
                f"{where}: '{self.answer_field}' is {answer!r}, read as a number with a fraction "
                "like others of its column, which loses the last digits of whole numbers beyond "
                '2**53: write the answers as text, such as "9007199254740993"'
            )
        if isinstance(answer, int | float) and not isinstance(answer, bool) and isfinite(answer):
            text = format(Decimal(repr(answer)), "f")  # str() would write 1e-07
        if not isinstance(text, str) or not text.strip():
            raise EnvError(f"{where}: '{self.answer_field}' is no answer: {answer!r}")
        if not self.answer_pattern:
            return (math.final_answer(text) or text if "\\boxed" in text else text).strip()
        matches = re.findall(self.answer_pattern, text)
        if not matches:
            raise EnvError(
                f"{where}: answer_pattern {self.answer_pattern!r} is not found in "
                f"'{self.answer_field}': {text[-200:]!r}"
            )
        last = matches[-1]
        return (last if isinstance(last, str) else last[0]).strip()


def held_out(task: Task) -> bool:
    """By the hash of the question, so that it holds for every seed and order of rows."""
    return int(sha256(task.key.encode()).hexdigest()[:8], 16) < HELD_OUT_SHARE * 2**32


@lru_cache(maxsize=16)
def permutation(n: int, seed: str) -> list[int]:
    order = list(range(n))
    Random(f"dataset/{seed}").shuffle(order)
    return order


def load_rows(path: str, config: str | None, split: str) -> "datasets.Dataset":
    """One split of a hub data set, a file or a directory of files.

    Raises:
        EnvError: no such file, split or configuration, or it cannot be read.
    """
    import datasets  # slow, and only whoever draws tasks needs it

    datasets.disable_progress_bars()
    files = find_files(path)
    try:
        if files is None:
            return datasets.load_dataset(path, config, split=split)
        kind = FORMATS[files[0].suffix]
        names = [str(file) for file in files]
        return datasets.load_dataset(kind, data_files={"train": names}, split=split)
    except Exception as error:  # the library raises many kinds, its users' and its own
        raise EnvError(
            f"data set '{path}' (config {config}, split '{split}') cannot be read: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        ) from error


def find_files(path: str) -> list[Path] | None:
    """The local files that `path` names; None when it looks like a data set on the hub.

    Raises:
        EnvError: it looks like a local path, and there is nothing to read.
    """
    here = Path(path).expanduser()
    if here.is_dir():
        files = sorted(file for file in here.iterdir() if file.suffix in FORMATS)
        kinds = {FORMATS[file.suffix] for file in files}
        if len(kinds) != 1:
            what = "files of several formats" if kinds else f"no {', '.join(FORMATS)} file"
            raise EnvError(f"data set '{path}': the directory holds {what}")
        return files
    if here.suffix not in FORMATS and path.count("/") == 1 and path[0] not in "./~":
        return None
    if not here.is_file():
        inside = sorted(p.name for p in here.parent.iterdir()) if here.parent.is_dir() else []
        listed = f"; {here.parent} holds {', '.join(inside[:20]) or 'nothing'}" if inside else ""
        raise EnvError(f"data set '{path}': no such file{listed}")
    if here.suffix not in FORMATS:
        raise EnvError(
            f"data set '{path}': files must end in {', '.join(FORMATS)} (found '{here.suffix}')"
        )
    return [here]
