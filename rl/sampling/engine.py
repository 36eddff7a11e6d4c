"""The rollout servers as one engine: sample, score, and the control calls of a weight update.

Speaks vLLM's own HTTP interface; tokens go in and come out, text never. What a server answers is
data and is checked before it is used; a late, refused or malformed answer is an EngineError.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp

from rl.recipe.config import Recipe
from rl.sampling.answers import EngineError, Malformed, read_completions, read_context, read_scores
from rl.sampling.pace import Meter, Pace
from rl.sampling.places import Places
from rl.sampling.routes import Experts
from rl.sampling.schedule import server_of
from rl.types import Completion, Stop

GENERATE = "/inference/v1/generate"
MODELS = "/v1/models"
CONTROL_DEADLINE_S = 60.0  # of a request that computes next to nothing
HEALTH_DEADLINE_S = 5.0
POLL_S = 0.1

T = TypeVar("T")


class Sampling(NamedTuple):
    """How to sample. Nothing else shapes the distribution: no top-k or penalties."""

    max_new_tokens: int
    temperature: float
    n: int  # answers per prompt
    top_p: float = 1.0  # training never changes it; an evaluation may
    logprobs: bool = True  # of the tokens sampled; who only judges answers needs none


class Deadline:
    """A point in time, and what the user would change to move it.

    One that has not begun never comes; `begin` lets it run, for those under way too.
    """

    def __init__(self, seconds: float, key: str = "", *, begun: bool = True) -> None:
        self._seconds = seconds
        self._key = key
        self._end: float | None = None
        self._limits: set[asyncio.Timeout] = set()
        if begun:
            self.begin()

    def begin(self) -> None:
        """From now on there are so many seconds left; the first call counts."""
        if self._end is None:
            self._end = time.monotonic() + self._seconds
            for limit in self._limits:
                limit.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def left_s(self) -> float:
        return math.inf if self._end is None else max(0.0, self._end - time.monotonic())

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """What is done inside is given up at the deadline.

        Raises:
            TimeoutError: it came.
        """
        async with asyncio.timeout(None if self._end is None else self.left_s()) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    def __str__(self) -> str:
        return f"{self._seconds:g} s" + (f" ({self._key})" if self._key else "")


class Engine:
    """All rollout servers of a run. Use as an async context manager; not shared between loops."""

    def __init__(
        self, urls: Sequence[str], api_key: str, recipe: Recipe, experts: Experts | None = None
    ) -> None:
        """
        Args:
            experts: of the policy, where answers have to say which of them computed them.
        """
        self._experts = experts
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._deadline_s = recipe.rollout.deadline_s
        self._update_deadline_s = recipe.engine.update_deadline_s
        # A synchronous run sends whole groups, which hold their places until their longest answer
        # is done: enough for a full batch and others waiting, not a connection for every problem.
        # One that runs ahead sends answers singly, and keeps those that have to wait here, where
        # the oldest goes first.
        ahead = 1 if recipe.max_staleness else 4
        self._places = [Places(ahead * recipe.engine.max_num_seqs) for _ in self.urls]
        self._meter = Meter(len(self.urls))
        self.context_tokens: int | None = None  # the servers', once they are ready

    async def __aenter__(self) -> Self:
        # No limits of the client's own: they would make requests wait unseen. A connection for each
        # request: a server that reports an error closes the one it reports it on.
        self._http = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def wait_ready(self, deadline_s: float) -> None:
        """Wait until every server says that it is healthy. The servers themselves unblock it.

        Raises:
            EngineError: a server was not ready by the deadline; with what it said last.
        """
        deadline = Deadline(deadline_s, "engine.start_deadline_s")
        await self.on_every_server(lambda url: self._until_healthy(url, deadline))
        try:
            self.context_tokens = read_context(await self.request("GET", self.urls[0], MODELS))
        except Malformed as error:
            raise EngineError(f"rollout server {self.urls[0]}/{MODELS} gave {error}") from error

    def fits(self, prompt: Sequence[int]) -> bool:
        """Whether the servers' context has room for at least one token of an answer."""
        return self.context_tokens is None or len(prompt) < self.context_tokens

    async def _until_healthy(self, url: str, deadline: Deadline) -> None:
        while True:
            try:
                await self.request("GET", url, "/health", deadline=Deadline(HEALTH_DEADLINE_S))
            except EngineError as error:
                if not deadline.left_s():
                    raise EngineError(
                        f"rollout server {url} was not ready within {deadline}: {error}"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                return

    async def sample(
        self, prompts: Sequence[list[int]], seeds: Sequence[int], sampling: Sampling
    ) -> AsyncIterator[tuple[int, list[Completion]]]:
        """Sample `sampling.n` answers to each prompt; groups come as they are finished.

        Answer k to a prompt is drawn with the prompt's seed + k: seeds of different prompts must
        lie apart. Prompt i goes to server i modulo their number, so the same prompts, seeds and
        weights give the same tokens and log-probabilities (docs/architecture.md says how far that
        goes). An answer's last token is the one that ended it, unless the budget did.

        Yields:
            Index of the prompt, and its answers in the order of their seeds.

        Raises:
            EngineError: a server is gone, refuses, answers nonsense, or is not done within
                rollout.deadline_s. What was still being sampled is given up.
        """
        deadline = self.sampling_deadline()

        async def group(index: int, prompt: list[int], seed: int) -> tuple[int, list[Completion]]:
            return index, await self.completions(prompt, seed, sampling, index, deadline)

        pairs = zip(prompts, seeds, strict=True)
        tasks = [asyncio.create_task(group(i, *pair)) for i, pair in enumerate(pairs)]
        try:
            for finished in asyncio.as_completed(tasks):
                yield await finished
        finally:
            await give_up(tasks)

    def sampling_deadline(self, *, begun: bool = True) -> Deadline:
        return Deadline(self._deadline_s, "rollout.deadline_s", begun=begun)

    async def completions(
        self,
        prompt: list[int],
        seed: int,
        sampling: Sampling,
        index: int,
        deadline: Deadline,
        order: int = 0,
    ) -> list[Completion]:
        """`sampling.n` answers to one prompt, all at once when the last is finished.

        Waits until the server has places for them, then for the server; the deadline's owner and
        whoever cancels this end the wait. Of a prompt that does not fit all FAILED at once.

        Args:
            seed: of the first answer; each of the others has one more.
            index: the number of what is dealt out to the servers in turn (rl/sampling/schedule.py).
            order: of those who wait for places the lowest gets them first.

        Raises:
            EngineError: see `sample`.
        """
        if not self.fits(prompt):
            return [Completion([], [], Stop.FAILED, ())] * sampling.n
        server = server_of(index, len(self.urls))
        request = {"token_ids": prompt, "sampling_params": _parameters(sampling, seed)}
        if self._experts is not None:
            # vLLM returns experts only with its prefix cache switched on, which would change bits.
            request["sampling_params"]["skip_reading_prefix_cache"] = True
        async with self._places[server].take(sampling.n, order):
            with self._meter.busy(server):
                found = await self._generate(
                    self.urls[server],
                    request,
                    lambda answer: read_completions(
                        answer,
                        sampling.n,
                        sampling.max_new_tokens,
                        len(prompt),
                        self._experts,
                        logprobs=sampling.logprobs,
                    ),
                    deadline,
                )
        self._meter.sampled(sum(len(completion.tokens) for completion in found))
        return found

    def take_pace(self) -> Pace:
        """What the servers did since the last call."""
        return self._meter.take()

    async def score(self, tokens: list[int], deadline: Deadline | None = None) -> list[list[float]]:
        """Log-probabilities of tokens[1:], each given those before it, by every server.

        They are those of the model at temperature 1, in nats.

        Raises:
            EngineError: a server is gone, refuses, answers nonsense, or takes too long.
        """
        # One token has to be sampled; vLLM gives the prompt's own log-probabilities beside it.
        parameters = {
            "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False,
        }  # fmt: skip
        request = {"token_ids": tokens, "sampling_params": parameters}
        return await self.on_every_server(
            lambda url: self._generate(
                url,
                request,
                lambda answer: read_scores(answer, tokens),
                deadline or Deadline(CONTROL_DEADLINE_S),
            )
        )

    async def _generate(
        self, url: str, body: Any, read: Callable[[Any], T], deadline: Deadline
    ) -> T:
        answer = await self.request("POST", url, GENERATE, body, deadline)
        try:
            return read(answer)
        except Malformed as error:
            raise EngineError(
                f"rollout server {url} was asked for POST {GENERATE} with "
                f"{body['sampling_params']} and gave {error}"
            ) from error

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
        deadline = Deadline(self._update_deadline_s, "engine.update_deadline_s")
        for url, scores in zip(self.urls, await self.score(tokens, deadline), strict=True):
            pairs = zip(scores, logprobs, strict=True)
            difference = sum(abs(a - b) for a, b in pairs) / len(scores)
            if not difference <= max_diff:  # not-a-number is further off, too
                raise EngineError(
                    f"rollout server {url} does not sample from weights {version}: its "
                    f"log-probabilities of a fixed prompt are {difference:.2e} nats per token from "
                    f"the learner's (weights.max_logprob_diff allows {max_diff:.0e})"
                )
            worst = max(worst, difference)
        return worst

    async def request(
        self, method: str, url: str, path: str, body: Any = None, deadline: Deadline | None = None
    ) -> Any:
        """One request to one server; its answer as JSON, or None where it is empty.

        Raises:
            EngineError: no connection, no answer by the deadline, or not status 200.
        """
        deadline = deadline or Deadline(CONTROL_DEADLINE_S)
        what = f"{method} {path}"
        try:
            async with (
                deadline.limit(),
                self._http.request(method, url + path, json=body) as response,
            ):
                text = await response.read()
                if response.status == 200:
                    return await response.json() if text else None
        except TimeoutError as error:
            raise EngineError(
                f"rollout server {url} did not answer {what} within {deadline}"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineError(
                f"rollout server {url} failed at {what}: {type(error).__name__}: {error}"
            ) from error
        said = text.decode(errors="replace")[:600]
        raise EngineError(
            f"rollout server {url} refused {what} with status {response.status}: {said}"
        )

    async def post(self, path: str, body: Any, deadline: Deadline) -> None:
        """The same request to every server at the same time."""
        await self.on_every_server(lambda url: self.request("POST", url, path, body, deadline))

    async def on_every_server(self, call: Callable[[str], Awaitable[T]]) -> list[T]:
        """`call` each server's URL at the same time; at the first error give up the others."""
        return await all_or_first_error(call(url) for url in self.urls)


async def all_or_first_error(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Run calls at the same time; at the first error give up the others and raise it."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await give_up(tasks)


async def give_up(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _parameters(sampling: Sampling, seed: int) -> dict[str, Any]:
    return {
        "n": sampling.n,
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "logprobs": 0 if sampling.logprobs else None,  # 0: of the sampled token alone
        "detokenize": False,
    }
