"""What a schedule makes of given lengths and costs: the training loop as a discrete-event model.

The loop of rl/train.py with its rules, rl/sampling/schedule.py: batches are begun in order, sampled
oldest first, trained first in, first out, and weights are updated while answers are under way.
Nothing is computed, only its time is counted. Evaluation, checkpoints and failures are left out.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Literal, NamedTuple

from rl.simulator.lengths import Source
from rl.simulator.rules import Paced, Rule, Setup
from rl.simulator.server import Answer, Costs, Server


class Step(NamedTuple):
    """One step of the loop; times since the start."""

    begun_s: float  # the learner was free
    learning_s: float
    learned_s: float
    ended_s: float  # the weights that it made are in the servers
    lengths: list[int]  # of the answers trained on
    computed_tokens: float  # by the learner: prompts and answers with signal
    stale_tokens: float  # sum over tokens of the updates between their weights and the learner's
    stale_answers: float  # the same, over answers and the oldest of their tokens
    staleness_max: int
    servers_busy_s: float  # summed over the servers, since the start


@dataclass(frozen=True)
class Report:
    """What a schedule came to, over the steps that are counted."""

    steps: Sequence[Step]  # that are counted
    servers: int
    sampled: list[int]  # lengths of all answers that ended, whatever is counted
    before: Step | None = None  # the first one that is counted

    def after(self, warm_up: int, wind_down: int = 0) -> "Report":
        """Without the first steps, in which nothing is under way yet, and without the last ones,
        in which nothing begins any more."""
        counted = self.steps[warm_up : len(self.steps) - wind_down]
        before = self.steps[warm_up - 1] if warm_up else self.before
        return Report(counted, self.servers, self.sampled, before)

    @property
    def seconds(self) -> float:
        return self.steps[-1].ended_s - (self.before.ended_s if self.before else 0.0)

    @property
    def steps_per_s(self) -> float:
        return len(self.steps) / self.seconds

    @property
    def tokens_per_s(self) -> float:
        """Sampled tokens of the answers trained on."""
        return sum(self.trained) / self.seconds

    @property
    def trained(self) -> list[int]:
        return [length for step in self.steps for length in step.lengths]

    @property
    def servers_idle(self) -> float:
        """Share of the time in which a server has nothing to sample, mean over the servers."""
        busy = self.steps[-1].servers_busy_s - (self.before.servers_busy_s if self.before else 0.0)
        return 1 - busy / (self.seconds * self.servers)

    @property
    def learner_idle(self) -> float:
        """Share of the time in which the learner does not compute an update."""
        return 1 - sum(x.learned_s - x.learning_s for x in self.steps) / self.seconds

    @property
    def staleness_mean(self) -> float:
        """Over trained tokens: updates between the weights that sampled it and the learner's."""
        return sum(step.stale_tokens for step in self.steps) / sum(self.trained)

    @property
    def oldest_mean(self) -> float:
        """Over trained answers: the staleness of the oldest token (staleness_mean of a run)."""
        return sum(step.stale_answers for step in self.steps) / len(self.trained)

    @property
    def staleness_max(self) -> int:
        return max(step.staleness_max for step in self.steps)

    def phase_s(self, phase: Literal["sample", "learn", "publish"]) -> float:
        """Mean seconds per step that the loop spends in a phase, as in `time` of metrics.jsonl."""
        times = [(x.begun_s, x.learning_s, x.learned_s, x.ended_s) for x in self.steps]
        first = ["sample", "learn", "publish"].index(phase)
        return fmean(each[first + 1] - each[first] for each in times)


def simulate(
    source: Source,
    setup: Setup,
    costs: Costs,
    rule: Callable[[Source, Setup], Rule] = Paced,
) -> Report:
    """Run the loop for `setup.steps` steps.

    Raises:
        ValueError: costs.step_s is not above 0, or the rule never comes to an end: there are
            answers that it neither begins nor waits for.
    """
    if costs.step_s <= 0:
        raise ValueError(f"a decoding step takes time: costs.step_s is {costs.step_s:g}")
    source = cache(source)
    return _Simulation(source, setup, costs, rule(source, setup)).run()


class _Simulation:
    """Events in the order of their time; each one says what happens then."""

    def __init__(self, source: Source, setup: Setup, costs: Costs, rule: Rule) -> None:
        self._source = source
        self._setup = setup
        self._costs = costs
        self._rule = rule
        self._servers = [Server(setup.slots, costs) for _ in range(setup.servers)]
        self._plans = [0] * setup.servers  # counts them: only a server's last one comes true
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._now = 0.0
        self._step = 0
        self._free = False  # the learner waits for answers
        self._patience_over = False
        self._begun_s = self._learning_s = self._learned_s = 0.0
        self._learned: list[Answer] = []
        self._steps: list[Step] = []
        self._sampled: list[int] = []

    def run(self) -> Report:
        self._come_to(1)
        while len(self._steps) < self._setup.steps:
            if not self._events:
                raise ValueError(f"step {self._step} waits for answers that nobody samples")
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        return Report(self._steps, self._setup.servers, self._sampled)

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (self._now + seconds, self._numbers, happen))

    # The loop: come to a step, learn, publish.

    def _come_to(self, step: int) -> None:
        self._step, self._begun_s = step, self._now
        self._free, self._patience_over = True, False
        self._begin_answers()
        if self._setup.straggler_s is not None:
            self._after(self._setup.straggler_s, lambda: self._lose_patience(step))
        self._learn_if_ready()

    def _lose_patience(self, step: int) -> None:
        if self._step == step:
            self._patience_over = True
            self._learn_if_ready()

    def _learn_if_ready(self) -> None:
        taken = self._rule.take(self._step, self._patience_over) if self._free else None
        if taken is None:
            return
        self._free, self._learned, self._learning_s = False, taken, self._now
        if self._setup.colocated:
            self._hold()
        costs, setup = self._costs, self._setup
        ranks = setup.ranks * setup.rank_efficiency
        seconds = costs.learn_step_s + costs.learn_token_s * self._computed() / ranks
        self._after(seconds, self._publish)

    def _computed(self) -> float:
        """Tokens of what the learner has taken that it has to compute."""
        return sum(
            (x.prompt + x.length) * self._source(x.group).learned_share for x in self._learned
        )

    def _publish(self) -> None:
        self._learned_s = self._now
        if self._setup.colocated:
            self._release()
        self._after(self._costs.publish_s - self._costs.pause_s, self._pause)

    def _pause(self) -> None:
        if self._setup.update == "wait":
            for server in self._servers:
                server.draining = True
            self._pause_if_drained()
        else:
            self._hold()
            self._after(self._costs.pause_s, self._updated)

    def _pause_if_drained(self) -> None:
        if any(server.in_flight for server in self._servers):
            return
        self._hold()
        self._after(self._costs.pause_s, self._updated)

    def _updated(self) -> None:
        for server in self._servers:
            server.advance(self._now)
            server.draining = False
            server.update(self._step, recompute=self._setup.update == "recompute")
        self._steps.append(self._record())
        self._release()
        if self._step < self._setup.steps:
            self._come_to(self._step + 1)

    def _record(self) -> Step:
        stale_tokens = stale_answers = 0.0
        largest = 0
        for answer in self._learned:
            parts = self._servers[answer.server].tokens_by_version(answer)
            newest = self._step - 1  # the weights that the update started from
            stale_tokens += sum((newest - version) * tokens for version, tokens in parts)
            oldest = newest - parts[-1][0]
            stale_answers += oldest
            largest = max(largest, oldest)
        return Step(
            begun_s=self._begun_s,
            learning_s=self._learning_s,
            learned_s=self._learned_s,
            ended_s=self._now,
            lengths=[answer.length for answer in self._learned],
            computed_tokens=self._computed(),
            stale_tokens=stale_tokens,
            stale_answers=stale_answers,
            staleness_max=largest,
            servers_busy_s=sum(server.busy_s for server in self._servers),
        )

    # The servers.

    def _begin_answers(self) -> None:
        new = self._rule.begin(self._step, self._servers)
        for answer in new:
            self._servers[answer.server].put(answer)
        for index in dict.fromkeys(answer.server for answer in new):
            self._look_ahead(index)

    def _look_ahead(self, index: int) -> None:
        """Fill the server's places, and plan for the next answer that ends there."""
        server = self._servers[index]
        server.advance(self._now)
        server.fill()
        self._plans[index] += 1
        plan, end = self._plans[index], server.next_end()
        if end is not None:
            self._after(end - self._now, lambda: self._end(index, plan))

    def _end(self, index: int, plan: int) -> None:
        if plan != self._plans[index]:
            return  # something has begun, was held or updated since
        server = self._servers[index]
        server.advance(self._now)
        ended = server.finish()
        self._look_ahead(index)
        self._after(self._costs.verify_s, lambda: self._judge(ended))
        if server.draining:
            self._pause_if_drained()

    def _judge(self, ended: list[Answer]) -> None:
        for answer in ended:
            self._rule.judged(answer)
            self._sampled.append(answer.length)
        self._begin_answers()
        self._learn_if_ready()

    def _hold(self) -> None:
        for index, server in enumerate(self._servers):
            server.advance(self._now)
            server.holds += 1
            self._plans[index] += 1

    def _release(self) -> None:
        for index, server in enumerate(self._servers):
            server.advance(self._now)
            server.holds -= 1
            self._look_ahead(index)
