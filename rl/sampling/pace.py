"""How busy the rollout servers are: measured where the requests are made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Pace(NamedTuple):
    """What the servers did over some time, as a mean over them."""

    idle_fraction: float  # of the time, without a single request under way
    tokens_per_s: float  # sampled by all of them together while they were busy


class Meter:
    """Adds up what a number of servers do."""

    def __init__(self, servers: int) -> None:
        now = time.monotonic()
        self._under_way = [0] * servers
        self._since = [now] * servers  # of each server: until when its seconds were added up
        self._begin = now
        self._busy_s = 0.0
        self._tokens = 0

    @contextmanager
    def busy(self, server: int) -> Iterator[None]:
        """A request to it is under way."""
        self._add_up(server, time.monotonic())
        self._under_way[server] += 1
        try:
            yield
        finally:
            self._add_up(server, time.monotonic())
            self._under_way[server] -= 1

    def sampled(self, tokens: int) -> None:
        self._tokens += tokens

    def take(self) -> Pace:
        """Since the last call: everything is counted once."""
        now = time.monotonic()
        for server in range(len(self._since)):
            self._add_up(server, now)
        busy_s = self._busy_s / len(self._since)
        whole_s = now - self._begin
        pace = Pace(
            idle_fraction=max(0.0, 1 - busy_s / whole_s) if whole_s else 0.0,  # sums are rounded
            tokens_per_s=self._tokens / busy_s if busy_s else 0.0,
        )
        self._begin, self._busy_s, self._tokens = now, 0.0, 0
        return pace

    def _add_up(self, server: int, now: float) -> None:
        if self._under_way[server]:
            self._busy_s += now - self._since[server]
        self._since[server] = now
