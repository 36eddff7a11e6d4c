"""Places in the servers, deadlines that begin later, and what servers did meanwhile."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.sampling.engine import Deadline
from rl.sampling.pace import Meter
from rl.sampling.places import Places


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, 60))


async def let_all_wait() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_oldest_gets_the_next_place_and_of_equals_the_first_to_come() -> None:
    async def scenario() -> list[str]:
        places, log = Places(2), list[str]()

        async def hold(name: str, order: int) -> None:
            async with places.take(1, order):
                log.append(name)

        async with places.take(1), places.take(1):
            waiting = []
            for name, order in (("new", 9), ("old", 1), ("old too", 1), ("older", 0)):
                waiting.append(asyncio.create_task(hold(name, order)))
                await let_all_wait()
            assert log == []
        await asyncio.gather(*waiting)
        return log

    assert run(scenario()) == ["older", "old", "old too", "new"]


def test_who_wants_many_places_is_not_passed_over_by_those_who_want_few() -> None:
    async def scenario() -> list[str]:
        places, log = Places(4), list[str]()

        async def hold(name: str, n: int) -> None:
            async with places.take(n):
                log.append(name)
                await let_all_wait()

        async with places.take(2), places.take(1):
            waiting = [asyncio.create_task(hold("two", 2)), asyncio.create_task(hold("one", 1))]
            await let_all_wait()
            assert log == [], "one place is free, and the first in line wants two"
        await asyncio.gather(*waiting)
        return log

    assert run(scenario()) == ["two", "one"]


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.booleans()), max_size=12),
)
def test_places_are_never_given_twice_and_never_lost(
    capacity: int, wishes: list[tuple[int, int, bool]]
) -> None:
    async def scenario() -> None:
        places, held, most = Places(capacity), 0, 0

        async def hold(n: int, order: int) -> None:
            nonlocal held, most
            async with places.take(n, order):
                held += min(n, max(1, capacity // 2))
                most = max(most, held)
                await let_all_wait()
                held -= min(n, max(1, capacity // 2))

        tasks = [asyncio.create_task(hold(n, order)) for n, order, _ in wishes]
        await asyncio.sleep(0)
        for task, (_, _, given_up) in zip(tasks, wishes, strict=True):
            if given_up and not held:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= capacity
        async with AsyncExitStack() as all_of_them:
            for _ in range(capacity):
                await all_of_them.enter_async_context(places.take(1))

    run(scenario())


def test_who_gives_up_while_it_waits_holds_nobody_up() -> None:
    async def scenario() -> None:
        places = Places(2)

        async def hold(n: int) -> None:
            async with places.take(n):
                pass

        async with places.take(1), places.take(1):
            first = asyncio.create_task(hold(2))
            second = asyncio.create_task(hold(1))
            await let_all_wait()
            first.cancel()
            await let_all_wait()
        await second

    run(scenario())


def test_a_deadline_that_has_not_begun_never_comes_and_can_begin_for_what_is_under_way() -> None:
    async def scenario() -> None:
        deadline = Deadline(0.01, "rollout.deadline_s", begun=False)
        assert deadline.left_s() == float("inf")
        entered = asyncio.Event()

        async def wait() -> None:
            async with deadline.limit():
                entered.set()
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await entered.wait()
        deadline.begin()
        with pytest.raises(TimeoutError):
            await waiting
        with pytest.raises(TimeoutError):
            await wait()
        deadline.begin()
        assert deadline.left_s() == 0.0, "the first beginning counts"
        assert str(deadline) == "0.01 s (rollout.deadline_s)"

    run(scenario())


def test_a_meter_counts_each_second_and_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    meter = Meter(2)
    with meter.busy(0):
        now += 1
        with meter.busy(0), meter.busy(1):
            now += 2
        now += 1
        meter.sampled(60)
        assert meter.take() == (1 - 3 / 4, 60 / 3), "busy 4 s and 2 s of 4 s each"
        now += 2
    now += 2
    assert meter.take() == (1 - 1 / 4, 0.0), "busy 2 s and 0 s of 4 s each"
    now += 1
    assert meter.take() == (1.0, 0.0)
