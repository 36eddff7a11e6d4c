"""Answers of servers elsewhere: what is asked, what is believed, how often is asked again."""

import asyncio
import gzip
import json
import threading

import pytest

from envs.base import Task
from rl.errors import UserError
from rl.evaluation.remote import ATTEMPTS, RemoteServer, served_model
from rl.evaluation.store import Sampled
from rl.recipe.config import Recipe
from rl.sampling.answers import EngineError
from rl.tasks import Drawn
from rl.types import Stop
from tests.chat_server import ChatServer, chat_server, reply, said

PROBLEM = Drawn("sums", {}, Task("1+1=?", "2"), "2", seed=7)


def recipe(**rollout):
    return Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "rollout": {"max_new_tokens": 16, **rollout},
            "evaluation": {"temperature": 0.5, "top_p": 0.9},
        }
    )


def ask(server, key=None, sample=0, **rollout):
    async def one():
        async with RemoteServer(server.url, "m", key, recipe(**rollout), pause_s=0.001) as remote:
            return await remote.answer(PROBLEM, sample)

    with chat_server(server):
        return asyncio.run(one())


def scripted(*replies):
    """A server that gives these replies in turn, the last one for ever."""
    left = list(replies)
    return ChatServer(lambda _: left.pop(0) if len(left) > 1 else left[0])


def test_an_answer_is_asked_for_with_the_recipes_sampling():
    server = scripted(reply(said("\\boxed{2}")))
    found = ask(server, sample=3)
    assert found == Sampled("\\boxed{2}", Stop.FINISHED, 5, 3, [], [])
    (asked,) = server.requests
    assert asked["path"] == "/v1/chat/completions"
    assert asked["messages"] == [{"role": "user", "content": "1+1=?"}]
    wanted = {"model": "m", "temperature": 0.5, "top_p": 0.9, "max_tokens": 16, "seed": 10, "n": 1}
    assert {key: asked[key] for key in wanted} == wanted


def test_an_answer_that_ran_out_of_tokens_is_truncated_and_no_text_is_an_empty_one():
    assert ask(scripted(reply(said(None, 16, "length")))).stop is Stop.LENGTH
    assert ask(scripted(reply(said(None)))).text == ""


def test_the_key_goes_into_the_header_and_into_no_message():
    server = scripted(reply({"error": "no such model"}, 404))
    with pytest.raises(EngineError, match="refused an answer: status 404") as refused:
        ask(server, key="secret")
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in str(refused.value)
    assert len(server.requests) == 1


def test_a_problem_that_the_server_refuses_fails_alone_with_its_words():
    server = scripted(reply({"error": "longer than the context"}, 400))
    found = ask(server)
    assert (found.stop, found.response_tokens, len(server.requests)) == (Stop.FAILED, 0, 1)
    assert "refuses this problem: status 400" in found.failure
    assert "longer than the context" in found.failure


@pytest.mark.parametrize(
    "bad",
    [
        reply({"error": "busy"}, 429, Retry_After="0"),
        reply(b"", 503),
        reply(b"not json"),
        reply([]),
        reply({"choices": [], "usage": {}}),
        reply({**said("x"), "choices": said("x")["choices"] * 2}),
        reply(said({"text": "x"})),
        reply(said("", finish="abort")),
        reply(said("x", tokens="many")),
        reply(said("x", tokens=-1)),
        reply(said("x", tokens=True)),
        reply(b"[" * 100_000),
    ],
    ids=str,
)
def test_what_may_pass_is_asked_again_and_not_for_ever(bad):
    server = scripted(bad, reply(said("good")))
    assert ask(server).text == "good"
    always = scripted(bad)
    with pytest.raises(EngineError, match=f"failed {ATTEMPTS} times .* the same command goes on"):
        ask(always)
    assert len(always.requests) == ATTEMPTS


def test_an_endless_answer_is_not_read_to_its_end():
    server = scripted(reply(said("x" * 3_000_000)))
    with pytest.raises(EngineError, match="more than 1049600 bytes"):
        ask(server)


def test_a_compressed_answer_is_not_asked_for_and_not_unpacked():
    bomb = reply(gzip.compress(json.dumps(said("x" * 3_000_000)).encode()), Content_Encoding="gzip")
    server = scripted(bomb)
    with pytest.raises(EngineError, match="what is no JSON"):
        ask(server)
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_a_redirect_is_not_followed():
    server = scripted(reply(b"", 302, Location="http://127.0.0.1:1/"))
    with pytest.raises(EngineError, match="status 302"):
        ask(server, key="secret")


def test_a_server_that_does_not_count_tokens_is_refused_with_the_reason():
    answer = said("x")
    del answer["usage"]
    with pytest.raises(UserError, match="does not say how many tokens"):
        ask(scripted(reply(answer)))


def test_a_server_that_wants_the_budget_by_its_newer_name_gets_it():
    wish = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server = scripted(reply({"error": {"message": wish}}, 400), reply(said("good")))
    assert ask(server).text == "good"
    assert ("max_completion_tokens" in server.requests[1], "max_tokens" in server.requests[1]) == (
        True,
        False,
    )


def test_a_server_that_never_answers_is_given_up_at_the_deadline():
    given_up = threading.Event()

    def respond(_):
        given_up.wait(60)
        return reply(said("late"))

    server = ChatServer(respond)
    with pytest.raises(EngineError, match=r"within 0.2 s \(rollout.deadline_s\)"):
        ask(server, deadline_s=0.2)
    given_up.set()


def test_answers_in_chunks_need_tokens():
    with pytest.raises(UserError, match=r"rollout\.chunk_tokens: 8"):
        RemoteServer("http://host/v1", "m", None, recipe_in_chunks())


def recipe_in_chunks():
    return recipe(max_new_tokens=8, chunk_tokens=8)


def model_of(server, wanted):
    with chat_server(server):
        return asyncio.run(served_model(server.url, None, wanted))


def test_the_only_model_of_a_server_needs_no_name():
    assert model_of(ChatServer(lambda _: reply({}), models=["one"]), None) == "one"
    assert model_of(ChatServer(lambda _: reply({}), models=["one", "two"]), "two") == "two"


def test_of_several_models_one_has_to_be_named():
    server = ChatServer(lambda _: reply({}), models=["one", "tw\x1bo"])
    with pytest.raises(UserError, match=r"has 2 models: .*#MODEL \(it has: one, tw\\x1bo\)"):
        model_of(server, None)
    with pytest.raises(UserError, match="has no model 'three'"):
        model_of(server, "three")


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:1/v1 cannot be reached"):
        asyncio.run(served_model("http://127.0.0.1:1/v1", None, None))


def test_every_answer_is_one_json_line_whatever_is_in_it():
    hostile = "\ud800\u2028\x00</script>\n"
    found = ask(scripted(reply(said(hostile))))
    assert json.loads(json.dumps(found.text)) == hostile
