"""One rollout server of the simulator: answers in flight advance together, token by token."""

import heapq
from typing import NamedTuple

EPSILON = 1e-6  # tokens: two answers that end so close to each other end together


class Costs(NamedTuple):
    """What takes how long, in seconds.

    A decoding step gives every answer in flight one token. It takes step_s (weights are read),
    answer_s for each answer, and context_s for each token that those answers hold by then (their
    keys and values are read).
    """

    step_s: float
    answer_s: float = 0.0
    context_s: float = 0.0
    # While the next two pass, nothing is decoded on that server.
    request_s: float = 0.0  # per answer begun
    prefill_s: float = 0.0  # per token of a prompt, or of a context after an update
    verify_s: float = 0.0  # from an answer's last token to its reward
    learn_step_s: float = 0.0
    learn_token_s: float = 0.0  # on one rank, per token of prompt and answer
    publish_s: float = 0.0  # from the end of an update until its weights are in the servers
    pause_s: float = 0.0  # the part of publish_s, at its end, in which the servers do not decode


class Answer:
    """One answer on its way; lengths in tokens."""

    __slots__ = ("batch", "begins_at", "ends_at", "group", "length", "prompt", "server")

    def __init__(self, batch: int, group: int, server: int, prompt: int, length: int) -> None:
        self.batch = batch  # orders those that wait; the step that learns from it
        self.group = group
        self.server = server
        self.prompt = prompt
        self.length = length
        self.begins_at = self.ends_at = 0.0  # in tokens that the server has decoded per answer


class Server:
    """Waiting answers are taken oldest batch first, at most `slots` at a time."""

    def __init__(self, slots: int, costs: Costs) -> None:
        self.in_flight: list[tuple[float, int, Answer]] = []
        self.busy_s = 0.0  # with answers in flight, held or not
        self.holds = 0  # reasons not to decode now
        self.draining = False  # begins no answer
        self._slots = slots
        self._costs = costs
        self._now = 0.0
        self._decoded = 0.0  # tokens, by each answer that was in flight all the time
        self._stall_s = 0.0  # that must pass before the next token
        self._context = 0.0  # tokens that the answers in flight hold
        self._waiting: list[tuple[int, int, Answer]] = []
        self._arrivals = 0
        self._updates: list[tuple[float, int]] = [(0.0, 0)]  # tokens decoded by then, version

    @property
    def free(self) -> int:
        """Places that no answer has and none waits for."""
        return self._slots - len(self.in_flight) - len(self._waiting)

    def put(self, answer: Answer) -> None:
        self._arrivals += 1
        heapq.heappush(self._waiting, (answer.batch, self._arrivals, answer))

    def fill(self) -> None:
        """Begin waiting answers as far as there are places."""
        while self._waiting and len(self.in_flight) < self._slots and not self.draining:
            _, number, answer = heapq.heappop(self._waiting)
            answer.begins_at, answer.ends_at = self._decoded, self._decoded + answer.length
            self._stall_s += self._costs.request_s + self._costs.prefill_s * answer.prompt
            self._context += answer.prompt
            heapq.heappush(self.in_flight, (answer.ends_at, number, answer))

    def advance(self, now: float) -> None:
        """Decode until `now`."""
        passed, self._now = now - self._now, now
        if not self.in_flight:
            return
        self.busy_s += passed
        if self.holds:
            return
        stalled = min(passed, self._stall_s)
        self._stall_s -= stalled
        self._decode(self._steps_in(passed - stalled))

    def finish(self) -> list[Answer]:
        """The answers that have their last token by now; they leave the server."""
        ended = []
        while self.in_flight and self.in_flight[0][0] <= self._decoded + EPSILON:
            ended.append(heapq.heappop(self.in_flight)[2])
            self._context -= ended[-1].prompt + ended[-1].length
            self._decoded = max(self._decoded, ended[-1].ends_at)  # EPSILON away at the most
        if not self.in_flight:
            self._context = 0.0  # without the rounding of the subtractions
        return ended

    def next_end(self) -> float | None:
        """When the next answer ends if nothing begins before; None: not before something does."""
        if self.holds or not self.in_flight:
            return None
        steps = max(0.0, self.in_flight[0][0] - self._decoded)
        return self._now + self._stall_s + self._seconds_of(steps)

    def update(self, version: int, *, recompute: bool) -> None:
        """From the next token on sample with other weights, and compute contexts again first."""
        self._updates.append((self._decoded, version))
        if recompute:
            self._stall_s += self._costs.prefill_s * self._context

    def tokens_by_version(self, answer: Answer) -> list[tuple[int, float]]:
        """(version, tokens) of an answer that ended here, newest first."""
        found, begin, end = [], answer.begins_at, answer.ends_at
        for since, version in reversed(self._updates):
            if since < end:
                found.append((version, end - max(since, begin)))
                end = since
            if since <= begin:
                break
        return found

    def _decode(self, steps: float) -> None:
        self._decoded += steps
        self._context += steps * len(self.in_flight)

    def _seconds_of(self, steps: float) -> float:
        linear, quadratic = self._rates()
        return steps * linear + steps**2 * quadratic

    def _steps_in(self, seconds: float) -> float:
        """The inverse of `_seconds_of`, in the form that has no cancellation."""
        linear, quadratic = self._rates()
        return 2 * seconds / (linear + (linear**2 + 4 * quadratic * seconds) ** 0.5)

    def _rates(self) -> tuple[float, float]:
        """Coefficients of m and m^2 in the seconds that m more steps take.

        Step i of them reads the context of now and i tokens more per answer.
        """
        costs, n = self._costs, len(self.in_flight)
        grown = self._context + n / 2
        return costs.step_s + costs.answer_s * n + costs.context_s * grown, costs.context_s * n / 2
