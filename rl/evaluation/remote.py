"""A server somewhere else that speaks OpenAI's chat interface: text in, text out.

Nothing that it answers is believed: sizes, types and ranges are checked, redirects are not
followed, and its key is sent nowhere but to the address given.
"""

import asyncio
import json
import random
from typing import Any, NamedTuple, Self

import aiohttp

from rl.errors import UserError
from rl.evaluation.problems import Wanted
from rl.evaluation.store import Sampled
from rl.progress import printable
from rl.recipe.config import Recipe
from rl.sampling.answers import EngineError, Malformed
from rl.tasks import Drawn
from rl.types import Stop

KEY_VARIABLE = "ASSAY_EVAL_KEY"
ATTEMPTS = 6  # of one request; between them 1, 2, 4, 8 and 16 s, or what the server asks for
LONGEST_PAUSE_S = 60.0
LIST_DEADLINE_S = 30.0
MOST_LIST_BYTES = 4 << 20
BYTES_PER_TOKEN = 64  # of an answer, generously; what is longer is not read
MOST_TOKENS = 1 << 40
ENDS = {"stop", "length", "content_filter", "tool_calls", None}  # else the server failed
REFUSED = {400, 413, 422}  # what this request asks for: too long a question, for example
LATER = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # statuses with which asking again may help


class Reply(NamedTuple):
    status: int
    body: bytes
    retry_after: str | None


class RemoteServer:
    """One model on one server. Use as an async context manager."""

    def __init__(
        self, url: str, model: str, key: str | None, recipe: Recipe, *, pause_s: float = 1.0
    ) -> None:
        """
        Args:
            url: base, such as https://host/v1.
            key: sent as a bearer token; None: none is.
            pause_s: before the second attempt; doubled for each further one.
        """
        rollout = recipe.rollout
        if rollout.chunk_tokens is not None or rollout.truncated == "interrupt":
            raise UserError(
                f"{url} takes text, and answers under rollout.chunk_tokens: {rollout.chunk_tokens} "
                f"and rollout.truncated: {rollout.truncated} are put together from tokens: set "
                "rollout.chunk_tokens=null and rollout.truncated=train, or give the model itself"
            )
        self.places = recipe.engine.max_num_seqs
        self.together = 1  # servers differ in what a seed means for several
        self._url = url
        self._model = model
        self._headers = _headers(key)
        self._deadline_s = rollout.deadline_s
        self._budget = rollout.max_new_tokens
        self._evaluation = recipe.evaluation
        self._pause_s = pause_s
        self._budget_key = "max_tokens"  # some servers want max_completion_tokens, and say so
        self._jitter = random.Random(url)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def answers(self, wanted: Wanted) -> list[Sampled]:
        return [await self.answer(wanted.problem, wanted.first + k) for k in range(wanted.n)]

    async def answer(self, problem: Drawn, sample: int) -> Sampled:
        """One answer; asked for up to ATTEMPTS times, within rollout.deadline_s in all.

        Raises:
            EngineError: the server refuses, is away for too long, or answers nonsense every time.
        """
        messages = [{"role": m.role, "content": m.content} for m in problem.task.messages]
        body = {
            "model": self._model,
            "messages": messages,
            "temperature": self._evaluation.temperature,
            "top_p": self._evaluation.top_p,
            "seed": (problem.seed + sample) % 2**31,
            "n": 1,
            "stream": False,
        }
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._answer(body)
        except TimeoutError as error:
            raise EngineError(
                f"{self._url} did not give an answer within {self._deadline_s:g} s "
                "(rollout.deadline_s)"
            ) from error

    async def _answer(self, body: dict[str, Any]) -> Sampled:
        most = (1 << 20) + BYTES_PER_TOKEN * self._budget
        attempt = 1
        while True:
            said, wished = "", None
            budget_key = self._budget_key
            try:
                reply = await request(
                    self._http,
                    "POST",
                    f"{self._url}/chat/completions",
                    {**body, budget_key: self._budget},
                    most,
                )
                if reply.status == 200:
                    return read_answer(reply.body)
                said, wished = _said(reply), reply.retry_after
                other = "max_completion_tokens"
                if reply.status == 400 and other in said and budget_key != other:
                    self._budget_key = other
                    continue
                if reply.status in REFUSED:
                    failure = f"{self._url} refuses this problem: {said}"
                    return Sampled("", Stop.FAILED, 0, 0, [], [], failure)
                if reply.status not in LATER:
                    raise EngineError(f"{self._url} refused an answer: {said}")
            except (aiohttp.ClientError, OSError, Malformed) as error:
                said = f"{type(error).__name__}: {printable(str(error))[:300]}"
            if attempt == ATTEMPTS:
                raise EngineError(
                    f"{self._url} failed {ATTEMPTS} times at one answer, at last with {said}. "
                    "What was judged is stored: the same command goes on from there"
                )
            await asyncio.sleep(self._pause(attempt, wished))
            attempt += 1

    def _pause(self, attempt: int, wished: str | None) -> float:
        """Seconds until the next attempt; a little apart from those of other answers."""
        if wished is not None and wished.isascii() and wished.isdigit():
            return min(float(wished), LONGEST_PAUSE_S)
        pause = self._pause_s * 2 ** (attempt - 1) * self._jitter.uniform(0.75, 1.25)
        return min(pause, LONGEST_PAUSE_S)


def _headers(key: str | None) -> dict[str, str]:
    # A small answer can be a huge one, compressed: none is asked for, and none is unpacked.
    plain = {"Accept-Encoding": "identity"}
    return plain | ({"Authorization": f"Bearer {key}"} if key else {})


async def request(
    http: aiohttp.ClientSession, method: str, url: str, body: Any, most_bytes: int
) -> Reply:
    """One request, of whose answer no more than `most_bytes` are read.

    Raises:
        Malformed: the answer is longer.
        aiohttp.ClientError, OSError: there is none.
    """
    async with http.request(method, url, json=body, allow_redirects=False) as response:
        content = bytearray()
        async for part in response.content.iter_chunked(65536):
            content += part
            if len(content) > most_bytes:
                raise Malformed(f"an answer of more than {most_bytes} bytes")
        return Reply(response.status, bytes(content), response.headers.get("Retry-After"))


def read_answer(body: bytes) -> Sampled:
    """The one choice of a chat completion.

    Raises:
        Malformed: it is anything else.
        UserError: it does not say how many tokens it has, which scores need.
    """
    answer = _object(_parsed(body), "an answer")
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        raise Malformed("an answer without exactly one choice")
    choice = _object(choices[0], "a choice")
    ended = choice.get("finish_reason")
    if ended not in ENDS:
        raise Malformed(f"an answer that ended by {ended!r}")
    text = _object(choice.get("message"), "a message").get("content")
    if text is None:
        text = ""  # all of the budget went into thoughts, or the server kept it back
    if not isinstance(text, str):
        raise Malformed(f"a content that is {type(text).__name__}, not a text")
    usage = answer.get("usage")
    if usage is None:
        raise UserError(
            "the server does not say how many tokens its answers have (`usage`), which their "
            "scores are reported with: switch that on there"
        )
    counts = _object(usage, "usage")
    return Sampled(
        text=text,
        stop=Stop.LENGTH if ended == "length" else Stop.FINISHED,
        prompt_tokens=_count(counts.get("prompt_tokens")),
        response_tokens=_count(counts.get("completion_tokens")),
        chunks=[],
        injected=[],
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"what is no JSON: {body[:100]!r}") from error


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} that is {type(value).__name__}, not an object")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise Malformed(f"{str(value)[:40]!r} for a number of tokens")
    return value


def _said(reply: Reply) -> str:
    return f"status {reply.status}: {printable(reply.body.decode(errors='replace'))[:600]}"


async def served_model(url: str, key: str | None, wanted: str | None) -> str:
    """The name of the model to ask a server for: the one wanted, or else the only one it has.

    Raises:
        UserError: it cannot be asked, has none of that name, or has several.
    """
    try:
        async with (
            asyncio.timeout(LIST_DEADLINE_S),
            aiohttp.ClientSession(headers=_headers(key), auto_decompress=False) as http,
        ):
            reply = await request(http, "GET", f"{url}/models", None, MOST_LIST_BYTES)
    except (TimeoutError, aiohttp.ClientError, OSError, Malformed) as error:
        raise UserError(
            f"{url} cannot be reached: {type(error).__name__}: {printable(str(error))[:300]}"
        ) from error
    if reply.status in (404, 405) and wanted is not None:
        return wanted  # it keeps no list; whether it has the model is seen at the first answer
    if reply.status != 200:
        hint = f"; its key goes into {KEY_VARIABLE}" if reply.status in (401, 403) else ""
        raise UserError(f"{url}/models answered with {_said(reply)}{hint}")
    names = _names(reply.body, url)
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    shown = printable(", ".join(names[:20])) or "none"
    what = f"no model '{wanted}'" if wanted is not None else f"{len(names)} models"
    raise UserError(f"{url} has {what}: name one of its models as {url}#MODEL (it has: {shown})")


def _names(body: bytes, url: str) -> list[str]:
    try:
        listed = _object(_parsed(body), "a list of models").get("data")
        if not isinstance(listed, list):
            raise Malformed("a list of models without `data`")
        names = [_object(entry, "a model").get("id") for entry in listed]
    except Malformed as error:
        raise UserError(
            f"{url}/models gave {error}: is this an OpenAI-compatible server?"
        ) from error
    return [name[:200] for name in names if isinstance(name, str) and name]
