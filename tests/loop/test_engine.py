"""The engine's client and the weight updates, on real servers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from rl.recipe.config import Recipe
from rl.sampling.engine import Engine, EngineError, Sampling
from rl.types import Completion, Stop
from rl.weights.publisher import WeightPublisher
from tests.loop.conftest import Server

pytestmark = pytest.mark.slow

END = 1  # the token that ends an answer of the tiny policy
N_PROMPTS = 12


def prompts(seed: int = 0) -> list[list[int]]:
    rng = Random(f"prompts {seed}")
    return [[rng.randrange(10, 200) for _ in range(rng.randrange(4, 30))] for _ in range(N_PROMPTS)]


SHORT = Sampling(48, 1.0, 4)
SEEDS = [1000 * index for index in range(N_PROMPTS)]


@asynccontextmanager
async def engine_of(server: Server) -> AsyncIterator[Engine]:
    async with Engine([server.url], server.api_key, server.recipe) as engine:
        await engine.wait_ready(server.recipe.engine.start_deadline_s)
        yield engine


async def sample(
    engine: Engine, order: list[int], which: int = 0, sampling: Sampling = SHORT
) -> list[list[Completion]]:
    """All groups of `prompts(which)`, submitted in `order`, listed by prompt."""
    chosen = [prompts(which)[i] for i in order]
    seeds = [SEEDS[i] + which for i in order]
    groups = {order[i]: group async for i, group in engine.sample(chosen, seeds, sampling)}
    return [groups[i] for i in range(N_PROMPTS)]


def shuffled(seed: int) -> list[int]:
    return Random(seed).sample(range(N_PROMPTS), N_PROMPTS)


def without_versions(groups: list[list[Completion]]) -> list[Any]:
    return [[(c.tokens, c.logprobs, c.stop) for c in group] for group in groups]


@pytest.fixture
def model(tiny_policy: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)


@torch.no_grad()
def logprobs_of(model: PreTrainedModel, tokens: list[int]) -> list[float]:
    """The model's own log-probabilities of tokens[1:], by transformers."""
    ids = torch.tensor([tokens])
    every = model(ids).logits[0, :-1].log_softmax(-1)
    return every.gather(1, ids[0, 1:, None])[:, 0].tolist()


@torch.no_grad()
def changed(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def test_answers_are_the_same_bit_for_bit_in_any_order_and_company_and_server(
    server: Server, fresh_server: Server
) -> None:
    async def run() -> None:
        async with engine_of(server) as engine:
            first = without_versions(await sample(engine, list(range(N_PROMPTS))))
            crowd = asyncio.gather(*(sample(engine, shuffled(i), which=i) for i in (1, 2)))
            second = without_versions(await sample(engine, shuffled(3)))
            others = await crowd
        async with engine_of(fresh_server) as engine:
            third = without_versions(await sample(engine, shuffled(4)))
        assert first == second
        assert first == third
        assert without_versions(others[0]) != first

    asyncio.run(run())


def test_answers_to_one_prompt_differ_and_so_do_answers_to_other_seeds(server: Server) -> None:
    async def run() -> None:
        async with engine_of(server) as engine:
            prompt = prompts()[0]
            [(_, group)] = [g async for g in engine.sample([prompt], [5], Sampling(48, 1.0, 4))]
            [(_, later)] = [g async for g in engine.sample([prompt], [7], Sampling(48, 1.0, 2))]
        assert len({tuple(c.tokens) for c in group}) == 4
        # Answer k is drawn with seed + k: 5 + 2 and 5 + 3 are 7 + 0 and 7 + 1.
        assert group[2:] == later

    asyncio.run(run())


def test_without_log_probabilities_the_answers_are_the_same_and_a_prompt_has_to_fit(
    server: Server,
) -> None:
    async def run() -> None:
        async with engine_of(server) as engine:
            groups = await sample(engine, list(range(N_PROMPTS)))
            bare = SHORT._replace(logprobs=False)
            tokens = await sample(engine, list(range(N_PROMPTS)), sampling=bare)
            assert [[c.tokens for c in g] for g in tokens] == [
                [c.tokens for c in g] for g in groups
            ]
            assert all(c.logprobs == [] for group in tokens for c in group)
            context = engine.context_tokens
            assert context is not None
            fits, long = [11] * (context - 1), [11] * context
            found = [g async for g in engine.sample([fits, long], [0, 1000], SHORT)]
            assert [c.stop for c in dict(found)[1]] == [Stop.FAILED] * SHORT.n
            assert [len(c.tokens) for c in dict(found)[0]] == [1] * SHORT.n

    asyncio.run(run())


def test_sampled_logprobs_are_those_of_the_model(server: Server, model: PreTrainedModel) -> None:
    async def run() -> None:
        async with engine_of(server) as engine:
            groups = await sample(engine, list(range(N_PROMPTS)), sampling=Sampling(64, 1.0, 4))
        differences = []
        for prompt, group in zip(prompts(), groups, strict=True):
            for answer in group:
                own = logprobs_of(model, prompt + answer.tokens)[len(prompt) - 1 :]
                differences += [abs(a - b) for a, b in zip(own, answer.logprobs, strict=True)]
        assert len(differences) > 500
        assert sum(differences) / len(differences) <= 1e-4

    asyncio.run(run())


def test_an_answer_ends_with_the_end_token_or_with_its_budget(server: Server) -> None:
    async def run() -> None:
        async with engine_of(server) as engine:
            groups = await sample(engine, list(range(N_PROMPTS)), sampling=Sampling(200, 1.0, 4))
        answers = [answer for group in groups for answer in group]
        assert {answer.stop for answer in answers} == {Stop.FINISHED, Stop.LENGTH}
        for answer in answers:
            finished = answer.stop is Stop.FINISHED
            assert (answer.tokens[-1] == END) == finished
            assert END not in answer.tokens[:-1]
            assert finished or len(answer.tokens) == 200

    asyncio.run(run())


def test_an_answer_that_ends_at_once_is_its_end_token(
    server: Server, model: PreTrainedModel
) -> None:
    """With an embedding that is parallel to every last hidden state the end token always wins."""

    async def run() -> None:
        prompt = prompts()[0]
        with torch.no_grad():
            hidden = model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[-1]
            ended = {name: weight.clone() for name, weight in model.named_parameters()}
            ended["model.embed_tokens.weight"][END] = hidden[0, -1] * 20
        async with engine_of(server) as engine, restored(engine, server, model) as publisher:
            await publisher.publish(ended.items(), 3)
            [(_, group)] = [g async for g in engine.sample([prompt], [0], Sampling(9, 1.0, 2))]
        assert [(c.tokens, c.stop) for c in group] == [([END], Stop.FINISHED)] * 2
        assert group[0].logprobs[0] > -0.01
        assert group[0].spans == ((3, 0, 1),)

    asyncio.run(run())


@asynccontextmanager
async def restored(
    engine: Engine, server: Server, model: PreTrainedModel
) -> AsyncIterator[WeightPublisher]:
    """A publisher; afterwards the server has the policy's first weights again."""
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    publisher = WeightPublisher(engine, server.recipe)
    yield publisher
    await publisher.publish(first.items(), 0)


def test_published_weights_are_the_ones_that_sample_and_score(
    server: Server, model: PreTrainedModel
) -> None:
    async def run() -> None:
        prompt = prompts()[0]
        before = logprobs_of(model, prompt)
        async with engine_of(server) as engine, restored(engine, server, model) as publisher:
            for version in (1, 2):
                after = logprobs_of(changed(model), prompt)
                await publisher.publish(model.named_parameters(), version)
                await engine.assert_agrees(prompt, after, version, 1e-4)
            with pytest.raises(EngineError, match="does not sample from weights 2"):
                await engine.assert_agrees(prompt, before, 2, 1e-4)
            groups = await sample(engine, list(range(N_PROMPTS)))
        spans = {span.version for group in groups for answer in group for span in answer.spans}
        assert spans == {2}
        answer = groups[0][0]
        own = logprobs_of(model, prompt + answer.tokens)[len(prompt) - 1 :]
        assert own == pytest.approx(answer.logprobs, abs=1e-4)

    asyncio.run(run())


def went_through_updates(groups: list[list[Completion]]) -> None:
    """Updates came while answers were under way, and each says in order which sampled it."""
    spans = [answer.spans for group in groups for answer in group]
    assert max(len(each) for each in spans) > 1
    for each in spans:
        versions = [span.version for span in each]
        assert versions == sorted(set(versions))


def test_answers_under_way_go_on_with_the_new_weights_and_say_from_where(
    server: Server, model: PreTrainedModel
) -> None:
    async def run() -> None:
        async with engine_of(server) as engine, restored(engine, server, model) as publisher:
            long = Sampling(400, 1.0, 4)
            sampling = asyncio.create_task(sample(engine, list(range(N_PROMPTS)), sampling=long))
            for version in (1, 2, 3):
                await publisher.publish(model.named_parameters(), version)
            groups = await sampling
        went_through_updates(groups)

    asyncio.run(run())


def broken(weights: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    if how == "missing":
        return {name: weight for name, weight in weights.items() if "layers.1.mlp" not in name}
    if how == "unknown":
        return {**weights, "model.layers.9.mlp.up_proj.weight": torch.ones(2, 2)}
    return {**weights, "model.norm.weight": torch.ones(3)}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", r"3 tensors are missing \(model.layers.1.mlp.down_proj.weight"),
        ("unknown", r"1 tensors are unknown \(model.layers.9.mlp.up_proj.weight\)"),
        ("shape", r"model.norm.weight has the shape \[3\], not \[64\]"),
    ],
)
def test_an_update_that_does_not_fit_is_refused_and_the_server_goes_on(
    how: str, said: str, server: Server, model: PreTrainedModel
) -> None:
    async def run() -> None:
        prompt = prompts()[0]
        weights = {name: weight.detach() for name, weight in model.named_parameters()}
        own = logprobs_of(model, prompt)
        async with engine_of(server) as engine:
            publisher = WeightPublisher(engine, server.recipe)
            await publisher.publish(weights.items(), 4)
            with pytest.raises(EngineError, match=said):
                await publisher.publish(broken(weights, how).items(), 5)
            await engine.assert_agrees(prompt, own, 4, 1e-4)
            [(_, group)] = [g async for g in engine.sample([prompt], [0], Sampling(9, 1.0, 2))]
            assert {span.version for answer in group for span in answer.spans} == {4}
            await publisher.publish(weights.items(), 0)

    asyncio.run(run())


@pytest.mark.parametrize("victim", ["server", "engine"])
def test_a_server_that_dies_is_noticed_before_any_deadline(
    victim: str, fresh_server: Server
) -> None:
    async def run() -> None:
        async with engine_of(fresh_server) as engine:
            sampling = asyncio.create_task(
                sample(engine, shuffled(0), sampling=Sampling(400, 1, 8))
            )
            # The first answer from a busy server: what follows happens while it samples.
            await engine.score(prompts()[0])
            process = psutil.Process(fresh_server.child.process.pid)
            pid = process.pid if victim == "server" else engine_process(process).pid
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(EngineError, match=fresh_server.url):
                await asyncio.wait_for(sampling, timeout=60)
            with pytest.raises(EngineError, match=fresh_server.url):
                await engine.wait_ready(1)

    asyncio.run(run())


def test_the_engines_process_ends_with_its_server(fresh_server: Server) -> None:
    async def run() -> None:
        async with engine_of(fresh_server):
            engine = engine_process(psutil.Process(fresh_server.child.process.pid))
            fresh_server.child.process.kill()
            engine.wait(timeout=60)

    asyncio.run(run())


def engine_process(server: psutil.Process) -> psutil.Process:
    """The process under a server's that computes."""
    return max(server.children(recursive=True), key=lambda child: child.memory_info().rss)


def test_a_server_that_is_not_there_is_named_with_the_reason() -> None:
    async def run() -> None:
        recipe = Recipe.model_validate({"model": "m", "envs": [{"name": "arithmetic"}]})
        async with Engine(["http://127.0.0.1:9"], "key", recipe) as engine:
            with pytest.raises(
                EngineError, match=r"127.0.0.1:9 was not ready within 0.5 s .*Connect call failed"
            ):
                await engine.wait_ready(0.5)

    asyncio.run(run())


def test_a_wrong_key_is_refused(server: Server) -> None:
    async def run() -> None:
        async with engine_of(server):
            pass
        async with Engine([server.url], "another key", server.recipe) as engine:
            with pytest.raises(EngineError, match="status 401"):
                await engine.score([1, 2, 3])

    asyncio.run(run())
