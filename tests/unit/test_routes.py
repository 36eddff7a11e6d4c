"""The sampler's experts on their way: read as data, packed, and refused where they are wrong."""

import base64
import io
import json

import numpy
import pytest

from envs.base import Task
from rl.learner.batch import pack
from rl.learner.microbatch import sequence_lengths, take
from rl.recipe.config import Recipe
from rl.recipe.load import RecipeError, load_recipe
from rl.sampling.answers import Malformed, read_completions
from rl.sampling.routes import Experts, read_experts
from rl.sampling.server import server_command
from rl.types import Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import correct, wrong

EXPERTS = Experts(layers=2, count=4, per_token=2, model_type="qwen3_moe")
PROMPT = 3


def encoded(array, **options):
    file = io.BytesIO()
    numpy.save(file, array, **options)
    return base64.b64encode(file.getvalue()).decode()


def cut(text):
    return base64.b64encode(base64.b64decode(text)[:-1]).decode()


def answer(routes):
    """Two tokens after a prompt of three, so that four were computed with."""
    content = [{"token_id": 5, "logprob": -1.0}, {"token_id": 6, "logprob": -2.0}]
    choice = {
        "index": 0,
        "token_ids": [5, 6],
        "logprobs": {"content": content},
        "finish_reason": "stop",
        "weight_versions": [{"version": "3", "start": 0, "end": 2}],
        "routed_experts": routes,
    }
    return {"choices": [choice]}


def test_the_experts_of_prompt_and_answer_are_read_from_the_servers_answer():
    chosen = numpy.arange(16, dtype=numpy.uint8).reshape(4, 2, 2) % 4
    [found] = read_completions(answer(encoded(chosen)), 1, 8, PROMPT, EXPERTS)
    assert found.routes == bytes([0, 1, 2, 3] * 4)
    [plain] = read_completions(answer(encoded(chosen)), 1, 8)
    assert plain.routes == b""


GOOD = numpy.zeros((4, 2, 2), dtype=numpy.uint8)


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        (None, "can do without them by moe.routing=learner"),
        (7, "int, not a text"),
        ("no base64!", "cannot be read"),
        (base64.b64encode(b"no numpy").decode(), "is no .npy file"),
        (encoded(numpy.array([print]), allow_pickle=True), r"that is .'descr': '\|O'.*, not"),
        (encoded(GOOD.astype(float)), r"that is .'descr': '<f8'.*, not .'descr': '\|u1'"),
        (encoded(GOOD[1:]), r"'shape': \(3, 2, 2\), \}, not .*'shape': \(4, 2, 2\)"),
        (cut(encoded(GOOD)), "of 15 bytes, not 16"),
        (encoded(GOOD + 4), "expert 4 of 4"),
    ],
)
def test_what_cannot_be_the_chosen_experts_is_refused(routes, said):
    with pytest.raises(Malformed, match=said):
        read_completions(answer(routes), 1, 8, PROMPT, EXPERTS)


def recipe(**changes):
    return Recipe.model_validate({"model": "m", "envs": [{"name": "arithmetic"}], **changes})


def graded(reward, prompt, sampled, first):
    """A rollout whose tokens were computed with the experts `first`, `first` + 1, ..."""
    routes = bytes(range(first, first + prompt + sampled - 1))
    completion = Completion(
        [9] * sampled, [-1.0] * sampled, Stop.FINISHED, (Span(0, 0, sampled),), routes=routes
    )
    rollout = Rollout("arithmetic", Task("1 + 1", "2"), [7] * prompt, completion, "answer")
    return Graded(rollout, correct("2") if reward else wrong("3", "not 2"), reward)


def test_experts_are_packed_beside_their_tokens_and_go_where_these_go():
    batch = pack([[graded(1.0, 2, 2, 10), graded(0.0, 1, 4, 20)]], recipe()).batch
    # nothing was computed from a last token: it gets the experts of the one before
    assert batch.routes.tolist() == [[n] for n in [10, 11, 12, 12, 20, 21, 22, 23, 23]]
    micro = take(batch, sequence_lengths(batch), [1, 0])
    assert micro.routes.flatten().tolist() == [20, 21, 22, 23, 23, 10, 11, 12, 12]


def test_answers_of_which_only_some_name_experts_are_not_packed():
    group = [graded(1.0, 2, 2, 10), graded(0.0, 1, 4, 20)]
    completion = group[1].rollout.completion
    object.__setattr__(completion, "routes", b"")
    with pytest.raises(ValueError, match="different numbers of experts per token"):
        pack([group], recipe())


@pytest.fixture
def policy(tmp_path):
    config = {
        "model_type": "qwen3_moe",
        "num_hidden_layers": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_experts_of_a_model_are_read_from_its_configuration(policy, tmp_path):
    assert read_experts(policy) == EXPERTS
    assert read_experts(tmp_path / "elsewhere") is None
    (policy / "config.json").write_text('{"model_type": "qwen3"}')
    assert read_experts(policy) is None


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        ("2.13.0+cpu", ["--worker-cls", "--scheduler-cls", "--no-async-scheduling"]),
        ("2.13.0", ["--enable-return-routed-experts", "--enable-prefix-caching"]),
    ],
)
def test_a_server_is_asked_for_its_experts_where_they_are_replayed(
    torch, wanted, policy, monkeypatch
):
    monkeypatch.setattr("rl.sampling.server.version", lambda _: torch)
    replaying = server_command(str(policy), recipe(), 1, "key")[0]
    own = server_command(str(policy), recipe(moe={"routing": "learner"}), 1, "key")[0]
    assert [word for word in wanted if word in replaying] == wanted
    assert not set(wanted) & set(own)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["embedded.experts=4", "embedded.experts_per_token=5"], "must not exceed"),
        (["embedded.experts=4", "embedded.hidden=48"], "must be a multiple of 32"),
    ],
)
def test_experts_that_cannot_be_are_refused(overrides, said, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("model: embedded\nenvs: [{name: arithmetic}]\n")
    with pytest.raises(RecipeError, match=said):
        load_recipe(file, overrides, profile="cpu")
