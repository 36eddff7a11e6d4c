"""A family of two tiny members, trained and measured by real processes."""

import time
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from envs.registry import make_env
from rl import chat
from rl.children import processes_of
from rl.density.family import make_family
from rl.density.measure import losses, sample
from rl.density.table import read_members
from rl.errors import UserError
from rl.progress import Progress
from rl.recipe.load import read_resolved
from rl.tasks import Tasks

RECIPE = """\
model: embedded
embedded: {layers: 2, hidden: 32, heads: 1, kv_heads: 1, intermediate: 64, max_tokens: 128}
envs: [{name: arithmetic, digits: 2, terms: 2}]
sft: {demonstrations: 600, lr: 3e-3, batch_tokens: 512}
rollout: {max_new_tokens: 24}
evaluation: {problems: 8, samples: 4}
"""
SIZES = ((16, 1, 32), (32, 1, 64))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with recipe.yaml and family/, finished; its policies lie in policies/."""
    where = tmp_path_factory.mktemp("family")
    (where / "recipe.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch, Progress(0) as progress:
        patch.setenv("ASSAY_CACHE", str(where))
        make_family(where / "recipe.yaml", [], where / "family", progress, SIZES)
    return where


@pytest.mark.slow
def test_a_family_ends_in_a_table_of_losses_and_scores(made: Path) -> None:
    table = read_members(made / "family" / "family.csv")
    assert table.keys() == {"all"}
    small, large = table["all"]
    assert small.parameters < large.parameters
    assert small.tokens == large.tokens
    assert large.loss is not None
    assert small.loss is not None
    assert 0 < large.loss < small.loss < 5.6  # ln 263: of one who knows nothing
    for member in (small, large):
        assert member.score is not None
        assert member.score.low <= member.score.value <= member.score.high
        assert member.mean_tokens is not None
        assert 1 <= member.mean_tokens <= 24
    assert [processes_of(made / "family" / m.name) for m in (small, large)] == [[], []]


@pytest.mark.slow
def test_what_is_finished_is_not_made_again(made: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in made.glob("family/*/member.json")}
    assert len(written) == 2
    began = time.process_time()
    with Progress(0) as progress:
        make_family(made / "recipe.yaml", [], made / "family", progress, SIZES)
    assert time.process_time() - began < 5
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.slow
def test_a_family_of_other_tasks_gets_a_directory_of_its_own(made: Path) -> None:
    with Progress(0) as progress, pytest.raises(UserError, match=r"differing: envs\.0\.terms\)"):
        make_family(
            made / "recipe.yaml",
            ["envs=[{name: arithmetic, digits: 2, terms: 3}]"],
            made / "family",
            progress,
            SIZES,
        )


@pytest.mark.slow
def test_losses_and_answers_are_those_of_the_plain_distribution(made: Path) -> None:
    """Against sums over the whole vocabulary, one sequence at a time and without padding."""
    directory = next(made.glob("family/*/recipe.yaml")).parent
    recipe = read_resolved(directory / "recipe.yaml")
    policy = next(path for path in made.glob("policies/*/config.json")).parent
    tokenizer = AutoTokenizer.from_pretrained(policy, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32).eval()
    drawn = Tasks(recipe).held_out
    loss = losses(model, tokenizer, drawn, ["arithmetic"] * len(drawn))

    total, count = 0.0, 0
    for d in drawn:
        rng = Random(f"density/{d.task.key}")
        text = make_env(d.env, d.options).demonstrate(d.task, rng, corrupt=False)
        prompt = chat.encode(tokenizer, d.task)
        answer = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0].double()
        logprobs = logits.log_softmax(-1)
        for at, token in enumerate(answer, start=len(prompt)):
            total -= float(logprobs[at - 1, token])
            count += 1
    assert loss == {"all": pytest.approx(total / count, rel=1e-4)}

    greedy = recipe.model_copy(
        update={
            "evaluation": recipe.evaluation.model_copy(update={"temperature": 0.0, "samples": 1})
        }
    )
    for d, [found] in zip(drawn, sample(model, tokenizer, drawn, greedy), strict=True):
        tokens = chat.encode(tokenizer, d.task)
        start = len(tokens)
        while len(tokens) - start < 24 and tokens[-1] != tokenizer.eos_token_id:
            with torch.inference_mode():
                tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        text, ended = chat.decode(tokenizer, tokens[start:]), tokens[-1] == tokenizer.eos_token_id
        assert found == (text, len(tokens) - start, not ended)
