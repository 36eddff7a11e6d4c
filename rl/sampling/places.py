"""A bounded number of places that are given to whoever comes first in order."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """`capacity` places; who takes several gets them together.

    A place that becomes free goes to the lowest `order` among those who wait, and of equals to the
    one who waits longest. Nobody is passed over: while the first in line wants more places than are
    free, the others wait too.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._line: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._arrivals = 0

    @asynccontextmanager
    async def take(self, n: int, order: int = 0) -> AsyncIterator[None]:
        """Hold `n` places. More than half of all count as half: two can always go on at once."""
        n = min(n, max(1, self._capacity // 2))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._line, (order, self._arrivals, n, turn))
        self._let_in()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():  # it was let in, though it may have been cancelled since
                self._free += n
            self._let_in()

    def _let_in(self) -> None:
        while self._line:
            _, _, n, turn = self._line[0]
            if not turn.cancelled():  # else whoever waited has given up
                if n > self._free:
                    return
                self._free -= n
                turn.set_result(None)
            heapq.heappop(self._line)
