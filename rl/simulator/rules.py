"""Which answers are begun, and which are learned from: the loop's rule, and one that discards."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from rl.sampling.schedule import baseline_size, last_admitted, server_of
from rl.simulator.lengths import Source
from rl.simulator.server import Answer, Server


class Setup(NamedTuple):
    """A recipe's keys, as far as they shape the schedule, and where things run."""

    steps: int
    groups_per_step: int
    servers: int = 1
    slots: int = 256  # engine.max_num_seqs
    max_staleness: int = 0
    straggler_s: float | None = None
    ranks: int = 1
    rank_efficiency: float = 1.0  # of `ranks` ranks, over that of one
    # What an update does to answers under way: their contexts are computed again (as Assay does),
    # or go on as they are, or the update waits for the answers' end.
    update: Literal["recompute", "reuse", "wait"] = "recompute"
    colocated: bool = False  # servers and learner share devices: they do not run at the same time
    # What is dealt out to the servers in turn; None: as Assay does, answers where it runs ahead.
    spread: Literal["groups", "answers"] | None = None


class Rule(Protocol):
    """What decides which answers are begun and which are learned from."""

    def begin(self, step: int, servers: Sequence[Server]) -> list[Answer]:
        """Answers to begin, at any time while the learner has yet to make step `step`."""
        ...

    def judged(self, answer: Answer) -> None:
        """An answer has its reward."""
        ...

    def take(self, step: int, patience_over: bool) -> list[Answer] | None:
        """What a learner that is free learns from now; None: it has to wait."""
        ...


class Paced:
    """The rule of the loop: what is begun is learned from, and only the beginning is held back."""

    def __init__(self, source: Source, setup: Setup) -> None:
        self._source = source
        self._setup = setup
        self._begun = 0
        self._missing: dict[int, int] = {}  # by batch: answers not judged
        self._lacking: dict[int, int] = {}  # by batch: groups without a baseline
        self._judged: dict[int, int] = {}  # by group: answers
        self._ready: dict[int, list[Answer]] = {}  # by batch: judged and not taken

    def begin(self, step: int, servers: Sequence[Server]) -> list[Answer]:
        setup = self._setup
        last = last_admitted(step, setup.max_staleness, setup.steps)
        answers = [x for batch in range(self._begun + 1, last + 1) for x in self._batch(batch)]
        self._begun = max(self._begun, last)
        return answers

    def _batch(self, batch: int) -> list[Answer]:
        setup, answers = self._setup, list[Answer]()
        spread = setup.spread or ("answers" if setup.max_staleness else "groups")
        for index in range(setup.groups_per_step):
            group = (batch - 1) * setup.groups_per_step + index
            lengths = self._source(group)
            for length in lengths.answers:
                dealt = index if spread == "groups" else len(answers)
                server = server_of(dealt, setup.servers)
                answers.append(Answer(batch, group, server, lengths.prompt, length))
        self._missing[batch] = len(answers)
        self._lacking[batch] = setup.groups_per_step
        self._ready[batch] = []
        return answers

    def judged(self, answer: Answer) -> None:
        count = self._judged[answer.group] = self._judged.get(answer.group, 0) + 1
        group_size = len(self._source(answer.group).answers)
        self._lacking[answer.batch] -= count == baseline_size(group_size)
        self._missing[answer.batch] -= 1
        self._ready[answer.batch].append(answer)

    def take(self, step: int, patience_over: bool) -> list[Answer] | None:
        setup = self._setup
        if setup.straggler_s is None or step == setup.steps:
            enough = not any(self._missing[batch] for batch in self._ready if batch <= step)
        else:
            enough = not self._missing[step] or (patience_over and not self._lacking[step])
        if not enough:
            return None
        taken = list[Answer]()
        for batch in [batch for batch in self._ready if batch <= step]:
            taken += self._ready[batch]
            self._ready[batch] = []
            if not self._missing[batch]:
                del self._ready[batch]
        return taken


class Discarding:
    """What Assay does not do: keep servers full, learn from the first groups that are complete, and
    throw those away that were begun more than max_staleness updates ago.

    Long answers are complete late and are thrown away more often: the policy learns from short
    ones.
    """

    def __init__(self, source: Source, setup: Setup) -> None:
        self._source = source
        self._setup = setup
        self._groups = 0  # begun
        self._missing: dict[int, int] = {}  # by group: answers not judged
        self._members: dict[int, list[Answer]] = {}
        self._complete: list[int] = []  # groups, first come first

    def begin(self, step: int, servers: Sequence[Server]) -> list[Answer]:
        answers = list[Answer]()
        for index, server in enumerate(servers):
            free = server.free
            while free > 0:
                lengths = self._source(self._groups)
                # Its batch is the first step that may learn from it: not one of older weights.
                new = [
                    Answer(step, self._groups, index, lengths.prompt, length)
                    for length in lengths.answers
                ]
                self._missing[self._groups] = len(new)
                self._members[self._groups] = new
                self._groups += 1
                free -= len(new)
                answers += new
        return answers

    def judged(self, answer: Answer) -> None:
        self._missing[answer.group] -= 1
        if not self._missing[answer.group]:
            self._complete.append(answer.group)

    def take(self, step: int, patience_over: bool) -> list[Answer] | None:
        oldest = step - self._setup.max_staleness
        self._complete = [x for x in self._complete if self._members[x][0].batch >= oldest]
        count = self._setup.groups_per_step
        if len(self._complete) < count:
            return None
        taken, self._complete = self._complete[:count], self._complete[count:]
        return [answer for group in taken for answer in self._members.pop(group)]
