"""Loss and score of one member of a family, in a process of its own.

    python -m rl.density.measure --recipe RESOLVED.yaml --model DIRECTORY --out FILE --log FILE

Loss: the mean negative log-likelihood of held-out worked solutions, in nats per token. Score: of
answers to the same tasks, sampled here with transformers, and judged in killable workers.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from math import fsum
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from envs.base import EnvError
from envs.registry import job, make_env
from rl import chat
from rl.density.table import ALL
from rl.errors import UserError
from rl.evaluation.scores import Answer, Scores, scores
from rl.evaluation.settings import env_labels, label_key
from rl.policy.sft import Demonstration, demonstrations, tokenise
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.recipe.sections import EnvSpec
from rl.sampling.answering import Answering
from rl.tasks import Drawn, Tasks
from verifiers.pool import VerifierPool, VerifierStartError
from verifiers.verdict import Outcome, Verdict

ROWS = 256  # sequences that are computed together
REPORT_EVERY_S = 5.0


class Sampled(NamedTuple):
    text: str
    tokens: int
    truncated: bool  # the token budget ran out


def measure(recipe: Recipe, model_dir: Path, log: Path) -> dict[str, Any]:
    """Everything that the family's table says of one member.

    Returns:
        `tokens` it was trained on, `problems`, `samples`, and `by_env`: by kind of task, with "all"
        for all of them, `loss`, `score` and `mean_tokens`.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_dir, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    drawn = Tasks(recipe).held_out
    labels = env_labels((d.env, d.options) for d in drawn)
    names = [labels[label_key(d.env, d.options)] for d in drawn]
    _say("loss of held-out worked solutions")
    by_loss = losses(model, tokenizer, drawn, names)
    sampled = sample(model, tokenizer, drawn, recipe)
    verdicts = asyncio.run(judged(drawn, sampled, recipe, log))
    answers = [
        [_answer(name, d, *pair) for pair in zip(own, theirs, strict=True)]
        for name, d, own, theirs in zip(names, drawn, sampled, verdicts, strict=True)
    ]
    by_env = {}
    for name, of_env in _by_name(names, answers):
        found = _scores(name, [answer for of_task in of_env for answer in of_task], verdicts)
        by_env[name] = {
            "loss": by_loss[name],
            "score": found.avg_at_k._asdict(),
            "mean_tokens": found.mean_tokens.value,
        }
    return {
        "tokens": trained_tokens(tokenizer, recipe),
        "problems": len(drawn),
        "samples": recipe.evaluation.samples,
        "by_env": by_env,
    }


def _answer(env: str, drawn: Drawn, sampled: Sampled, verdict: Verdict) -> Answer:
    return Answer(
        env=env,
        problem=drawn.task.key,
        family=drawn.family,
        outcome=verdict.outcome,
        score=verdict.score,
        answer=verdict.answer,
        tokens=sampled.tokens,
        truncated=sampled.truncated,
    )


def _scores(name: str, answers: Sequence[Answer], verdicts: Sequence[Sequence[Verdict]]) -> Scores:
    """Those of `assay eval`. Raises UserError where every verdict is broken."""
    try:
        return scores(answers)
    except ValueError as error:
        details = [v.detail for own in verdicts for v in own if v.outcome is Outcome.BROKEN]
        raise UserError(
            f"the verifier failed on every answer ({name}), and so there is no score: {details[0]}"
        ) from error


def _by_name(names: Sequence[str], values: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The values of all, and of each name's; only once where there is only one name."""
    yield ALL, list(values)
    if len(set(names)) > 1:
        for name in sorted(set(names)):
            yield name, [v for v, own in zip(values, names, strict=True) if own == name]


def trained_tokens(tokenizer: Any, recipe: Recipe) -> int:
    """Prompts and worked solutions that a member of the family learned from, in tokens."""
    assert recipe.sft is not None
    rows = tokenise(tokenizer, demonstrations(recipe, recipe.sft), Answering.of(recipe.rollout))
    return round(recipe.sft.epochs * sum(len(row["input_ids"]) for row in rows))


@torch.inference_mode()
def losses(
    model: Any, tokenizer: Any, drawn: Sequence[Drawn], names: Sequence[str]
) -> dict[str, float]:
    """Nats per token of a worked solution without a slip to every task, its end included."""
    solved = []
    for d in drawn:
        rng = Random(f"density/{d.task.key}")
        solution = make_env(d.env, d.options).demonstrate(d.task, rng, corrupt=False)
        solved.append(Demonstration(d.task, solution))
    rows = tokenise(tokenizer, solved)
    nats = []
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        ids = _padded([row["input_ids"] for row in part], tokenizer.pad_token_id)
        labels = _padded([row["labels"] for row in part], -100)
        logits = model(input_ids=ids, attention_mask=_mask(part)).logits
        # Padding is on the right here: what stands before a token does not see it.
        own = cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], reduction="none")
        nats += [fsum(row) for row in own.tolist()]
    counts = [sum(x != -100 for x in row["labels"]) for row in rows]
    return {
        name: fsum(nats[i] for i in own) / sum(counts[i] for i in own)
        for name, own in _by_name(names, range(len(rows)))
    }


def _padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


def _mask(rows: Sequence[dict[str, Any]]) -> torch.Tensor:
    return _padded([[1] * len(row["input_ids"]) for row in rows], 0)


@torch.inference_mode()
def sample(
    model: Any, tokenizer: Any, drawn: Sequence[Drawn], recipe: Recipe
) -> list[list[Sampled]]:
    """`evaluation.samples` answers to every task, from the distribution that runs are evaluated
    with: evaluation.temperature and top_p, and nothing else cut from it."""
    torch.manual_seed(recipe.seed)
    k, temperature = recipe.evaluation.samples, recipe.evaluation.temperature
    top_p = recipe.evaluation.top_p
    shape = {"temperature": temperature, "top_k": 0, "top_p": top_p} if temperature else {}
    prompts = [chat.encode(tokenizer, d.task) for d in drawn]
    found: list[list[Sampled]] = [[] for _ in drawn]
    order = sorted(range(len(drawn)), key=lambda i: len(prompts[i]))  # less padding
    turns = [i for i in order for _ in range(k)]
    said_at = 0.0
    for start in range(0, len(turns), ROWS):
        if time.monotonic() - said_at > REPORT_EVERY_S:
            said_at = time.monotonic()
            _say(f"answers: {start:,} of {len(turns):,}")
        part = turns[start : start + ROWS]
        given = tokenizer.pad({"input_ids": [prompts[i] for i in part]}, return_tensors="pt")
        out = model.generate(
            **given,
            do_sample=temperature > 0,
            max_new_tokens=recipe.rollout.max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **shape,
        )[:, given["input_ids"].shape[1] :].tolist()
        for i, tokens in zip(part, out, strict=True):
            ends = tokenizer.eos_token_id in tokens  # behind the end stands padding
            kept = tokens[: tokens.index(tokenizer.eos_token_id) + 1] if ends else tokens
            found[i].append(Sampled(chat.decode(tokenizer, kept), len(kept), not ends))
    return found


async def judged(
    drawn: Sequence[Drawn], answers: Sequence[Sequence[Sampled]], recipe: Recipe, log: Path
) -> list[list[Verdict]]:
    """A verdict for every answer; the deadline of each is the pool's."""
    specs: list[EnvSpec] = [*recipe.envs, *(recipe.evaluation.envs or [])]
    async with VerifierPool(
        "envs.registry:judge",
        workers=recipe.verify.workers,
        prepare=[{"name": spec.name, "options": spec.options} for spec in specs],
        limits=recipe.verify.limits,
        log_path=log,
    ) as pool:
        found = []
        for at, (d, own) in enumerate(zip(drawn, answers, strict=True)):
            if at % 100 == 0:
                _say(f"judging: {at:,} of {len(drawn):,} tasks")
            control = job(d.env, d.options, d.task, d.solution or "") if d.solution else None
            jobs = [job(d.env, d.options, d.task, answer.text) for answer in own]
            found.append(list(await asyncio.gather(*(pool.verify(one, control) for one in jobs))))
    return found


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m rl.density.measure", description=__doc__)
    for name in ("--recipe", "--model", "--out", "--log"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args(argv)
    try:
        found = measure(read_resolved(given.recipe), given.model, given.log)
    except (UserError, EnvError, VerifierStartError, TypeError) as error:
        print("; ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    scratch = given.out.with_name(f"{given.out.name}.tmp")
    scratch.write_text(json.dumps(found, indent=2))
    scratch.rename(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
