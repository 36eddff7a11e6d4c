"""The rollout servers as one engine: sample, score, and the control calls of a weight update.

Speaks vLLM's own HTTP interface; tokens go in and come out, text never. What a server answers is
data and is checked before it is used; a late, refused or malformed answer is an EngineError.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp

from rl.answers import EngineError, Malformed, read_completions, read_scores
from rl.config import Recipe
from rl.types import Completion

CONTROL_DEADLINE_S = 60.0  # of a request that samples one token at most
POLL_S = 0.1

T = TypeVar("T")


class Sampling(NamedTuple):
    """How to sample. Nothing else shapes the distribution: no top-p, top-k or penalties."""

    max_new_tokens: int
    temperature: float
    n: int  # answers per prompt


class Engine:
    """All rollout servers of a run. Use as an async context manager; not shared between loops."""

    def __init__(self, urls: Sequence[str], api_key: str, recipe: Recipe) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._deadline_s = recipe.rollout.deadline_s
        self._max_num_seqs = recipe.engine.max_num_seqs
        self._in_flight = 0

    async def __aenter__(self) -> Self:
        # The connector's own limit would make requests wait unseen; `sample` has one per server.
        self._http = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=3600.0),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    @property
    def in_flight(self) -> int:
        """Prompts that are being sampled from at this moment."""
        return self._in_flight

    async def wait_ready(self, deadline_s: float) -> None:
        """Wait until every server answers that it is healthy. The servers themselves unblock it.

        Raises:
            EngineError: the first server that was not ready by the deadline, and what it last said.
        """
        end = time.monotonic() + deadline_s
        await self.on_every_server(lambda url: self._until_healthy(url, end))

    async def _until_healthy(self, url: str, end: float) -> None:
        while True:
            try:
                await self.request("GET", url, "/health", deadline_s=5.0)
            except EngineError as error:
                if time.monotonic() > end:
                    raise EngineError(
                        f"rollout server {url} was not ready in time (engine.start_deadline_s); "
                        f"last: {error}"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                return

    async def sample(
        self, prompts: Sequence[list[int]], seeds: Sequence[int], sampling: Sampling
    ) -> AsyncIterator[tuple[int, list[Completion]]]:
        """Sample `sampling.n` answers to each prompt; groups come as they are finished.

        Answer k to a prompt is drawn with the prompt's seed + k: seeds of different prompts must
        lie apart. The same prompts, seeds and weights give the same tokens. An answer's last token
        is the one that ended it, unless the budget did.

        Yields:
            Index of the prompt, and its answers in the order of their seeds.

        Raises:
            EngineError: a server is gone, refuses, answers nonsense, or is not done within
                rollout.deadline_s. What was still being sampled is given up.
        """
        requests = [
            {"token_ids": prompt, "sampling_params": _parameters(sampling, seed)}
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        # Enough for a full batch and another one waiting, not a connection per problem.
        at_once = max(2, 2 * self._max_num_seqs // sampling.n)
        places = [asyncio.Semaphore(at_once) for _ in self.urls]
        end = time.monotonic() + self._deadline_s

        async def group(index: int) -> tuple[int, list[Completion]]:
            where = index % len(self.urls)
            async with places[where]:
                return index, await self._group(self.urls[where], requests[index], sampling, end)

        tasks = [asyncio.create_task(group(index)) for index in range(len(requests))]
        try:
            for finished in asyncio.as_completed(tasks):
                yield await finished
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _group(
        self, url: str, request: dict[str, Any], sampling: Sampling, end: float
    ) -> list[Completion]:
        self._in_flight += 1
        try:
            answer = await self.request(
                "POST", url, "/inference/v1/generate", request, end - time.monotonic()
            )
            try:
                return read_completions(answer, sampling.n, sampling.max_new_tokens)
            except Malformed as error:
                raise EngineError(
                    f"rollout server {url} was asked for {sampling.n} answers and gave {error}"
                ) from error
        finally:
            self._in_flight -= 1

    async def score(self, tokens: list[int]) -> list[list[float]]:
        """Log-probabilities of tokens[1:], each given those before it, by every server.

        They are those of the model at temperature 1, in nats.

        Raises:
            EngineError: a server is gone, refuses, answers nonsense, or takes too long.
        """
        parameters = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        request = {"token_ids": tokens, "sampling_params": parameters}

        async def one(url: str) -> list[float]:
            answer = await self.request("POST", url, "/inference/v1/generate", request)
            try:
                return read_scores(answer, tokens)
            except Malformed as error:
                raise EngineError(
                    f"rollout server {url} was asked to score {len(tokens)} tokens and gave {error}"
                ) from error

        return await self.on_every_server(one)

    async def assert_agrees(
        self, tokens: list[int], logprobs: Sequence[float], version: int, max_diff: float
    ) -> float:
        """Check that every server assigns a fixed prompt the log-probabilities of the learner.

        Args:
            logprobs: the learner's, of tokens[1:], at temperature 1.
            max_diff: largest mean absolute difference allowed, nats per token.

        Returns:
            The largest one found.

        Raises:
            EngineError: a server is further off: it samples from other weights than `version`.
        """
        worst = 0.0
        for url, scores in zip(self.urls, await self.score(tokens), strict=True):
            pairs = zip(scores, logprobs, strict=True)
            difference = sum(abs(a - b) for a, b in pairs) / len(scores)
            if not difference <= max_diff:
                raise EngineError(
                    f"rollout server {url} does not sample from weights {version}: its "
                    f"log-probabilities of a fixed prompt are {difference:.2e} nats per token from "
                    f"the learner's (weights.max_logprob_diff allows {max_diff:.0e})"
                )
            worst = max(worst, difference)
        return worst

    async def request(
        self,
        method: str,
        url: str,
        path: str,
        body: Any = None,
        deadline_s: float = CONTROL_DEADLINE_S,
    ) -> Any:
        """One request to one server; its answer as JSON, or None where it is empty.

        Raises:
            EngineError: no connection, no answer by the deadline, or not status 200.
        """
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(deadline_s):
                async with self._http.request(method, url + path, json=body) as response:
                    text = await response.read()
                    if response.status != 200:
                        raise EngineError(
                            f"rollout server {url} refused {what} with status {response.status}: "
                            f"{text.decode(errors='replace')[:600]}"
                        )
                    return await response.json() if text else None
        except TimeoutError as error:
            raise EngineError(
                f"rollout server {url} did not answer {what} within {deadline_s:.0f} s"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineError(f"rollout server {url} failed at {what}: {error!r}") from error

    async def on_every_server(self, call: Callable[[str], Awaitable[T]]) -> list[T]:
        """`call` each server's URL at the same time; at the first error give up the others."""
        return await all_or_first_error(call(url) for url in self.urls)


async def all_or_first_error(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Run calls at the same time; at the first error give up the others and raise it."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _parameters(sampling: Sampling, seed: int) -> dict[str, Any]:
    return {
        "n": sampling.n,
        "seed": seed,
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_new_tokens,
        "logprobs": 0,  # of the sampled token alone
        "detokenize": False,
    }
