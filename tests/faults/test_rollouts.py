"""Rollouts whose verifier or engine fails: said at once, by the name of who failed.

The rollout server is a stand-in on loopback that speaks vLLM's interface; the rest is real.
"""

import asyncio
import json
import os
from typing import Any

import pytest
from aiohttp import web

from envs.base import Task
from rl.chat import encode
from rl.errors import UserError
from rl.evaluation.lead import OwnServers
from rl.evaluation.problems import asked_together
from rl.events import EventReader, Events
from rl.policy.embedded import make_tokenizer
from rl.recipe.config import Recipe
from rl.sampling.engine import Engine, Sampling
from rl.sampling.rollouts import Rollouts
from rl.tasks import Drawn, Tasks
from rl.types import Stop
from verifiers.pool import Limits, VerifierPool
from verifiers.verdict import Outcome

PATIENCE_S = 60.0
RAISES = """
from envs.arithmetic import Arithmetic
class Raises(Arithmetic):
    def verify(self, task, response):
        raise KeyError("no such gold")
"""


class Server:
    """Answers at once with `tokens` tokens; the request after `quick` others is held to the end."""

    def __init__(
        self, quick: int = 1000, finish: str = "stop", context: int = 4096, tokens: int = 2
    ) -> None:
        self._quick, self._finish, self._context, self._tokens = quick, finish, context, tokens
        self.sampled: list[dict[str, Any]] = []  # parameters of each request
        self._end = asyncio.Event()

    async def generate(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.sampled.append(asked["sampling_params"])
        assert len(asked["token_ids"]) < self._context
        self._quick -= 1
        if self._quick < 0:
            await self._end.wait()
        room = self._context - len(asked["token_ids"])
        tokens = [5] * min(self._tokens, asked["sampling_params"]["max_tokens"], room)
        choice = {
            "token_ids": tokens,
            "logprobs": {"content": [{"token_id": t, "logprob": -0.5} for t in tokens]},
            "finish_reason": self._finish,
            "weight_versions": [{"version": "default", "start": 0, "end": len(tokens)}],
        }
        if asked["sampling_params"]["logprobs"] is None:
            choice["logprobs"] = None
        n = asked["sampling_params"]["n"]
        return web.json_response({"choices": [{**choice, "index": i} for i in range(n)]})

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "policy", "max_model_len": self._context}]})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/health", self.health)
        app.router.add_post("/inference/v1/generate", self.generate)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await self._runner.cleanup()


def sample(
    env: str,
    tmp_path: Any,
    server: Server,
    rollout: dict[str, Any] | None = None,
    most: int = 8,
    **sections: Any,
) -> list[Any]:
    """Four groups of two answers; the events that were told, with what came of it last."""
    recipe = Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": env}],
            "groups_per_step": 4,
            "group_size": 2,
            "evaluation": {"problems": 1},
            "rollout": rollout or {},
            **sections,
        }
    )
    reading, writing = os.pipe()
    reader = EventReader(reading)

    async def inside() -> Any:
        pool = VerifierPool(
            "envs.registry:judge", 1, Limits(20.0, 10.0, 1024), tmp_path / "verifiers.log"
        )
        async with server as url, Engine([url], "key", recipe) as engine, pool:
            await engine.wait_ready(PATIENCE_S)
            rollouts = Rollouts(make_tokenizer(256), engine, pool, recipe, Events(writing))
            return await rollouts.groups(Tasks(recipe).step(1), Sampling(most, 1.0, 2), "step 1")

    try:
        groups = asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
        return [event.content for event in reader.read()] + [groups]
    finally:
        os.close(reading)
        os.close(writing)


def test_a_verifier_that_fails_stops_the_step_while_the_engine_still_samples(tmp_path):
    env = tmp_path / "raises.py"
    env.write_text(RAISES)

    with pytest.raises(UserError, match=r"step 1: the verifier failed on 2 .*no such gold"):
        sample(f"{env}:Raises", tmp_path, Server(quick=3))


def test_answers_that_the_engine_did_not_finish_are_not_blamed_on_the_verifier(tmp_path):
    with pytest.raises(UserError, match=r"step 1: the engine failed on 2 of the first 2 answers"):
        sample("arithmetic", tmp_path, Server(finish="abort"))


def test_an_answer_that_ends_near_its_budget_loses_reward(tmp_path):
    """Two tokens of a budget of eight, where the penalty begins after none: 2/8."""
    penalty = {"truncated": "penalty", "penalty_tokens": 8}
    *_, groups = sample("arithmetic", tmp_path, Server(), penalty)
    assert [graded.reward for group in groups for graded in group] == [-0.25] * 8


def test_a_closing_phrase_that_does_not_fit_is_refused_with_the_keys_to_change(tmp_path):
    long = {"truncated": "interrupt", "max_new_tokens": 100, "closing_phrase": "x" * 15}
    with pytest.raises(UserError, match=r"closing_phrase has 15 tokens .* an answer's 100 tokens"):
        sample("arithmetic", tmp_path, Server(), long)


def test_sampling_and_verifying_are_waits_of_their_own(tmp_path):
    *told, groups = sample("arithmetic", tmp_path, Server())
    assert [len(group) for group in groups] == [2, 2, 2, 2]
    assert told[0] == {"reason": "step 1: sampling", "deadline_s": 3600.0}
    verifying = {json.dumps(event) for event in told[1:]}
    assert verifying == {json.dumps({"reason": "step 1: verifying", "deadline_s": 420.0})}


QUESTIONS = """
from envs.arithmetic import Arithmetic
from envs.base import Task
class Questions(Arithmetic):
    def task(self, rng):
        return Task(f"{rng.randrange(1000)}" + "x" * rng.choice([0, 100]), "7")
"""


def test_a_question_longer_than_the_context_is_broken_and_the_others_are_asked(tmp_path):
    env = tmp_path / "questions.py"
    env.write_text(QUESTIONS)
    server = Server(context=100)
    alarms = {"broken_fraction": 1.0}
    *_, groups = sample(f"{env}:Questions", tmp_path, server, alarms=alarms)
    long = [group for group in groups if len(group[0].rollout.task.prompt) > 100]
    short = [group for group in groups if group not in long]
    assert short
    assert long
    assert len(server.sampled) == len(short)
    for graded in [graded for group in long for graded in group]:
        assert graded.verdict.outcome is Outcome.BROKEN
        assert "the question has 1" in graded.verdict.detail
        assert "takes 100 (engine.max_model_tokens)" in graded.verdict.detail
    judged = [graded for group in short for graded in group]
    assert all(graded.verdict.outcome is not Outcome.BROKEN for graded in judged)


def test_an_evaluation_asks_for_short_answers_together_and_has_none_to_questions_that_do_not_fit(
    tmp_path,
):
    """Of ten answers to each of two problems one is stored; the other problem is too long."""
    server = Server(context=100)
    recipe = Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "rollout": {"max_new_tokens": 1024},
            "evaluation": {"problems": 2, "samples": 10},
        }
    )
    fits, long = (Drawn("arithmetic", {}, Task("x" * n, "7"), "7", seed=n) for n in (1, 200))
    missing = [(fits, k) for k in range(10) if k != 5] + [(long, 0), (long, 1)]
    reading, writing = os.pipe()

    async def inside() -> list[Any]:
        pool = VerifierPool(
            "envs.registry:judge", 1, Limits(20.0, 10.0, 1024), tmp_path / "verifiers.log"
        )
        async with server as url, Engine([url], "key", recipe) as engine, pool:
            await engine.wait_ready(PATIENCE_S)
            events = Events(writing)
            rollouts = Rollouts(make_tokenizer(256), engine, pool, recipe, events)
            sampler = OwnServers(rollouts, engine, recipe, events)
            requests = asked_together(missing, sampler.together)
            return [(wanted, await sampler.answers(wanted)) for wanted in requests]

    try:
        found = asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))
        (said,) = EventReader(reading).read()
    finally:
        os.close(reading)
        os.close(writing)
    asked = [(p["seed"], p["n"], p["logprobs"]) for p in server.sampled]
    assert asked == [(1, 4, None), (5, 1, None), (7, 4, None)]  # at most 4,096 tokens in one
    assert [(w.problem, w.first, len(answers)) for w, answers in found] == [
        (fits, 0, 4), (fits, 4, 1), (fits, 6, 4), (long, 0, 2),
    ]  # fmt: skip
    assert [(a.text, a.stop, a.response_tokens) for a in found[-1][1]] == [("", "length", 0)] * 2
    assert "too long for a model that takes 100" in str(said.content)


NUMBERS = """
from envs.arithmetic import Arithmetic
from envs.base import Task
class Numbers(Arithmetic):
    def task(self, rng):
        return Task(str(rng.randrange(100, 1000)), "7")
"""


def test_an_answer_that_fills_the_context_ends_there_and_does_not_fail(tmp_path):
    """Behind the closing phrase there is no room: what stands there until then is the answer."""
    env = tmp_path / "numbers.py"
    env.write_text(NUMBERS)
    prompt = len(encode(make_tokenizer(256), Task("123", "7")))
    server = Server(finish="length", tokens=40, context=prompt + 37)
    interrupted = {"truncated": "interrupt", "max_new_tokens": 40, "closing_phrase": "So:"}
    *_, groups = sample(f"{env}:Numbers", tmp_path, server, interrupted, most=40)
    found = [graded.rollout.completion for group in groups for graded in group]
    assert [completion.stop for completion in found] == [Stop.LENGTH] * 8
    assert {len(completion.tokens) for completion in found} <= {37, 38, 39}
