"""Sampling ahead of the learner: when batches begin, that nothing is lost, and how it ends.

The rollout server is a stand-in on loopback that speaks vLLM's interface and holds back what it is
told to; the rest is real.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rl.events import Events
from rl.learner.batch import pack
from rl.policy.embedded import make_tokenizer
from rl.recipe.config import Recipe
from rl.sampling.ahead import Ahead
from rl.sampling.answers import EngineError
from rl.sampling.engine import Engine
from rl.sampling.rollouts import Rollouts
from rl.tasks import Tasks
from rl.types import Graded, new_answers
from verifiers.pool import Limits, VerifierPool

PATIENCE_S = 60.0
STEPS, GROUPS, SIZE = 6, 3, 4


def recipe(**more: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "steps": STEPS,
            "groups_per_step": GROUPS,
            "group_size": SIZE,
            "evaluation": {"problems": 1},
            "alarms": {"canary_fraction": 0},
            **more,
        }
    )


class Server:
    """Answers of 1 to 40 tokens; what `held` says is kept back until `release`."""

    def __init__(self, tasks: Tasks) -> None:
        drawn = {step: tasks.step(step) for step in range(1, STEPS + 1)}
        self.step_of = {
            d.seed + k: step for step, each in drawn.items() for d in each for k in range(SIZE)
        }
        self.baselines = {d.seed + k for each in drawn.values() for d in each for k in range(2)}
        self.held: Callable[[int], bool] = lambda seed: False
        self.fails: Callable[[int], bool] = lambda step: False
        self.admitted: Callable[[int], None] = lambda step: None
        self.release = asyncio.Event()
        self.asked: list[int] = []  # seeds

    @staticmethod
    def length(seed: int) -> int:
        return 1 + seed * 7 % 40

    async def generate(self, request: web.Request) -> web.Response:
        asked = (await request.json())["sampling_params"]
        seed = asked["seed"]
        self.asked.append(seed)
        self.admitted(self.step_of[seed])
        if self.fails(self.step_of[seed]):
            return web.Response(status=500, text="out of order")
        if self.held(seed):
            await self.release.wait()
        choices = []
        for index in range(asked["n"]):
            length = self.length(seed + index)
            content = [{"token_id": 5, "logprob": -0.5}] * length
            span = {"version": "default", "start": 0, "end": length}
            choices.append(
                {
                    "index": index,
                    "token_ids": [5] * length,
                    "logprobs": {"content": content},
                    "finish_reason": "stop",
                    "weight_versions": [span],
                }
            )
        return web.json_response({"choices": choices})

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_post("/inference/v1/generate", self.generate)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}"

    async def __aexit__(self, *_: object) -> None:
        self.release.set()
        await self._runner.cleanup()


Scenario = Callable[[Ahead, Server], Awaitable[Any]]


def ahead_of(scenario: Scenario, recipe: Recipe, tmp_path: Path) -> Any:
    """What the scenario gives; afterwards no task may be left."""
    events = os.open(tmp_path / "events", os.O_WRONLY | os.O_CREAT)

    async def inside() -> Any:
        tasks = Tasks(recipe)
        server = Server(tasks)
        pool = VerifierPool(
            "envs.registry:judge", 2, Limits(20.0, 10.0, 1024), tmp_path / "verifiers.log"
        )
        async with server as url, Engine([url], "key", recipe) as engine, pool:
            before = len(asyncio.all_tasks())
            rollouts = Rollouts(make_tokenizer(256), engine, pool, recipe, Events(events))
            async with Ahead(rollouts, tasks, recipe) as ahead:
                found = await scenario(ahead, server)
            left = [t for t in asyncio.all_tasks() if "UnderWay" in str(t.get_coro())]
            assert left == [], (before, left)
        return found

    try:
        return asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
    finally:
        os.close(events)


def lengths(answers: list[Graded]) -> list[int]:
    return sorted(len(answer.rollout.completion.tokens) for answer in answers)


@pytest.mark.parametrize("staleness", [0, 2, 9])
def test_a_batch_begins_once_the_weights_it_may_begin_with_are_there(
    tmp_path: Path, staleness: int
) -> None:
    async def scenario(ahead: Ahead, server: Server) -> None:
        now = 0

        def admitted(step: int) -> None:
            assert now <= step <= now + staleness

        server.admitted = admitted
        for step in range(1, STEPS + 1):
            now = step
            ahead.admit(step)
            if step + staleness >= STEPS or step == 1:
                due = min(STEPS, step + staleness) * GROUPS * (SIZE if staleness else 1)
                while len(server.asked) < due:
                    await asyncio.sleep(0.001)
            taken = await ahead.take(step)
            assert [len(group) for group in taken.groups] == [SIZE] * GROUPS
            assert taken.canaries == []

    ahead_of(scenario, recipe(max_staleness=staleness), tmp_path)


def test_every_answer_sampled_is_trained_on_once_where_discarding_prefers_short_ones(
    tmp_path: Path,
) -> None:
    async def scenario(ahead: Ahead, server: Server) -> list[list[Graded]]:
        server.held = lambda seed: server.length(seed) > 20 and seed not in server.baselines
        steps = []
        for step in range(1, STEPS + 1):
            ahead.admit(step)
            if step == STEPS - 1:
                server.release.set()
            steps.append(new_answers((await ahead.take(step)).groups))
        assert sorted(server.asked) == sorted(server.step_of)
        return steps

    wanted = recipe(max_staleness=2, rollout={"straggler_s": 0})
    steps = ahead_of(scenario, wanted, tmp_path)
    every = [answer for step in steps for answer in step]
    sampled = sorted(
        Server.length(d.seed + k)
        for step in range(1, STEPS + 1)
        for d in Tasks(wanted).step(step)
        for k in range(SIZE)
    )
    assert lengths(every) == sampled
    assert max(Counter(id(answer.rollout) for answer in every).values()) == 1
    own = {t.task.key: n for n in range(1, STEPS + 1) for t in Tasks(wanted).step(n)}
    in_time = [
        answer
        for number, step in enumerate(steps, 1)
        for answer in step
        if own[answer.rollout.task.key] == number
    ]
    mean, kept = sum(sampled) / len(sampled), lengths(in_time)
    assert 2 <= len(sampled) - len(kept) < len(sampled) / 2
    assert sum(kept) / len(kept) < mean - 1, "throwing the late ones away would train on shorter"


def test_a_whole_step_waits_for_every_late_answer(tmp_path: Path) -> None:
    async def scenario(ahead: Ahead, server: Server) -> tuple[int, list[Graded]]:
        late = min(seed for seed, step in server.step_of.items() if step == 1)
        server.held = lambda seed: seed == late
        ahead.admit(1)
        first = new_answers((await ahead.take(1)).groups)
        assert ahead.late
        ahead.admit(2)
        asyncio.get_running_loop().call_later(0.2, server.release.set)
        second = new_answers((await ahead.take(2, whole=True)).groups)
        assert ahead.late == []
        return len(first), second

    wanted = recipe(max_staleness=1, steps=9, rollout={"straggler_s": 0})
    n_first, second = ahead_of(scenario, wanted, tmp_path)
    assert n_first + len(second) == 2 * GROUPS * SIZE


def test_late_answers_come_with_the_rest_of_their_group_for_a_baseline(tmp_path: Path) -> None:
    async def scenario(ahead: Ahead, server: Server) -> list[Any]:
        late = min(seed for seed, step in server.step_of.items() if step == 1)
        server.held = lambda seed: seed == late
        ahead.admit(1)
        first = (await ahead.take(1)).groups
        server.release.set()
        ahead.admit(2)
        return [first, (await ahead.take(2)).groups]

    wanted = recipe(max_staleness=1, steps=2, rollout={"straggler_s": 0})
    first, second = ahead_of(scenario, wanted, tmp_path)
    early = {group[0].rollout.task.key: len(group) for group in first}
    assert len(early) == GROUPS
    assert any(n < SIZE for n in early.values())
    late = [group for group in second if group[0].rollout.task.key in early]
    assert [len(group) for group in late] == [SIZE] * len(late)
    for group in late:
        known = [answer.baseline_only for answer in group]
        assert known.count(True) == early[group[0].rollout.task.key]
    again = late[0]
    packed = pack([[_worth(a, i) for i, a in enumerate(again)]], wanted)
    assert packed.batch.n_tokens == sum(
        len(a.rollout.completion.tokens) for a in again if not a.baseline_only
    )
    assert int(packed.batch.loss_mask.sum()) == packed.batch.n_tokens
    centred = [a - sum(range(SIZE)) / SIZE for a in range(SIZE)]
    assert [a > 0 for a in packed.advantages[0]] == [a > 0 for a in centred]


def waits(tmp_path: Path) -> list[str]:
    """What the supervisor was told that the loop waits for."""
    lines = (tmp_path / "events").read_text().splitlines()
    return [event["reason"] for event in map(json.loads, lines) if event["kind"] == "wait"]


def test_answers_that_nobody_waits_for_leave_the_deadline_of_what_goes_on_alone(
    tmp_path: Path,
) -> None:
    async def scenario(ahead: Ahead, server: Server) -> None:
        late = min(seed for seed, step in server.step_of.items() if step == 1)
        server.held = lambda seed: seed == late
        ahead.admit(1)
        await ahead.take(1)
        told = waits(tmp_path)
        assert set(told) == {"step 1: sampling"}
        [batch] = ahead.late
        server.release.set()
        await asyncio.wait_for(batch.task, PATIENCE_S)
        assert waits(tmp_path) == told

    ahead_of(scenario, recipe(max_staleness=1, rollout={"straggler_s": 0}), tmp_path)


def test_a_step_that_writes_a_checkpoint_waits_for_late_answers_too(tmp_path: Path) -> None:
    async def scenario(ahead: Ahead, server: Server) -> list[int]:
        late = min(seed for seed, step in server.step_of.items() if step == 1)
        server.held = lambda seed: seed == late
        taken = []
        for step in (1, 2):
            ahead.admit(step)
            if step == 2:
                server.release.set()
            taken.append(len(new_answers((await ahead.take(step)).groups)))
        assert ahead.late == []
        return taken

    often = {"max_staleness": 1, "rollout": {"straggler_s": 0}, "checkpoint": {"every": 2}}
    first, second = ahead_of(scenario, recipe(**often), tmp_path)
    assert first < GROUPS * SIZE
    assert first + second == 2 * GROUPS * SIZE


def _worth(graded: Graded, reward: float) -> Graded:
    return Graded(graded.rollout, graded.verdict, float(reward), graded.baseline_only)


def test_a_server_that_fails_at_a_later_batch_ends_the_wait_for_this_one(tmp_path: Path) -> None:
    async def scenario(ahead: Ahead, server: Server) -> None:
        server.held = lambda seed: server.step_of[seed] == 1
        server.fails = lambda step: step == 2
        ahead.admit(1)
        with pytest.raises(EngineError, match="status 500: out of order"):
            await ahead.take(1)

    ahead_of(scenario, recipe(max_staleness=1), tmp_path)


def test_a_batch_that_nobody_waits_for_yet_has_no_deadline_and_then_has(tmp_path: Path) -> None:
    async def scenario(ahead: Ahead, server: Server) -> None:
        server.held = lambda seed: server.step_of[seed] == 2
        ahead.admit(1)
        await ahead.take(1)
        await asyncio.sleep(0.3)  # longer than the deadline
        ahead.admit(2)
        with pytest.raises(EngineError, match=r"within 0.2 s \(rollout.deadline_s\)"):
            await ahead.take(2)

    ahead_of(scenario, recipe(max_staleness=1, rollout={"deadline_s": 0.2}), tmp_path)
