"""The environment author's whole vocabulary: `Message`, `Task`, `Env`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, ClassVar, Literal, NamedTuple

from verifiers.attack.attacker import Answers
from verifiers.verdict import Verdict

Split = Literal["train", "test"]

HELD_OUT_SHARE = 0.1  # of all distinct tasks of a procedural environment


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Task:
    """One question, and what is needed to judge an answer to it."""

    prompt: str | tuple[Message, ...]
    truth: Any  # JSON-serialisable; never shown to the policy

    @property
    def messages(self) -> tuple[Message, ...]:
        return (Message("user", self.prompt),) if isinstance(self.prompt, str) else self.prompt

    @property
    def key(self) -> str:
        """Hex digest of what the policy is shown: equal prompts are the same task."""
        shown = "\x1e".join(f"{m.role}\x1f{m.content}" for m in self.messages)
        return sha256(shown.encode(errors="surrogatepass")).hexdigest()


class Isolation(NamedTuple):
    """In what an environment runs programs of the policy."""

    strength: str  # as verdicts say it, such as "namespaces" or "remote-landlock"
    description: str  # one line for a person


def unguessable(rng: Random) -> str:
    """The truth of a canary: random letters, which no answer matches."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=24))


Level = Literal[1, 2, 3, 4, 5]  # how hard, where an environment has levels


def check_range(option: str, value: float, low: float, high: float) -> None:
    """Raises ValueError naming the option, the value found and what is allowed."""
    if not low <= value <= high:
        raise ValueError(f"{option} must be between {low} and {high}, got {value}")


class EnvError(ValueError):
    """An environment's options or data are wrong, and the message says how: one line per mistake.

    For whoever wrote the recipe; shown without a traceback.
    """


class NoTasks(EnvError):
    """An environment has too few distinct tasks for what the recipe asks of it."""


class Env(ABC):
    """Subclass as a frozen dataclass; its fields are the environment's options in a recipe."""

    answers: ClassVar[Answers] = "math"
    r"""What a response ends in, which decides how `assay attack` attacks it: a final answer in
    `\boxed{}` that is compared as mathematics, a text, or a program in a fenced block."""

    @abstractmethod
    def task(self, rng: Random) -> Task:
        """Draw one task, using no randomness but `rng`."""

    @abstractmethod
    def verify(self, task: Task, response: str) -> Verdict:
        """Judge a response. Raise freely: the caller records the error as a broken verdict."""

    @abstractmethod
    def solve(self, task: Task) -> str | None:
        """A response that `verify` must accept; contract tests hold every environment to it. None
        only where the data of a benchmark have no solution."""

    def prepare(self) -> None:  # noqa: B027  (nothing to do is a fine answer)
        """Import or load what `verify` needs: called once in each verifier process, outside the
        limits on judging one response."""

    def isolation(self) -> Isolation | None:
        """In what `verify` runs programs of the policy. It is shown at the start of a run, and an
        admission counts for this strength only. None: it runs none.

        Raises:
            EnvError: there is nothing as strong here as the options ask for.
        """
        return None

    def canary(self, rng: Random) -> Task | None:
        """Draw a task that looks like any other and has no answer, so that whatever is paid for one
        is paid for a trick (recipe key alarms.canary_fraction). None: there are none of this kind.
        """
        return None

    def recheck(self, task: Task, response: str) -> Verdict:
        """Judge a response that `verify` accepted once more, by stricter rules or another method;
        alarms.recheck_fraction of the accepted ones are, in a process of their own."""
        return self.verify(task, response)

    def n_tasks(self, split: Split) -> int | None:
        """How many tasks a split has; None: more than anybody will draw. Of a split with so many
        the first so many indices of `draw` are all of them."""
        return None

    def family(self, task: Task) -> str | None:
        """What a task has in common with others that are right or wrong together with it, such as
        the template it was filled in from: intervals of scores then go by families. None: it stands
        alone."""
        return None

    def demonstrate(self, task: Task, rng: Random, corrupt: bool) -> str:
        """A worked solution to imitate in the warm start; with `corrupt`, one with a slip in it.

        Raises:
            TypeError: this environment has none. Give `sft.data` a file instead.
        """
        raise TypeError(f"environment {type(self).__name__} has no worked solutions to imitate")

    def draw(self, split: Split, seed: int, index: int) -> Task:
        """Task number `index` of a split: the same for equal arguments, on every machine.

        A task belongs to one split by the hash of its prompt, so what is held out cannot occur in
        training, whatever the seeds. The generator is seeded by a string: seeding with seed + index
        would make neighbouring seeds share nearly all their tasks.

        Raises:
            NoTasks: the environment has (nearly) no tasks in this split.
        """
        name = type(self).__name__
        for attempt in range(1000):
            task = self.task(Random(f"{name}/{split}/{seed}/{index}/{attempt}"))
            held_out = int(task.key[:8], 16) < HELD_OUT_SHARE * 2**32
            if held_out == (split == "test"):
                return task
        raise NoTasks(
            f"environment {name} gave no '{split}' task in 1000 draws: it has too few distinct "
            "prompts to hold some out; widen its options"
        )
