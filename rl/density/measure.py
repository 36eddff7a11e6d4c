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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import fsum
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from envs.base import EnvError
from envs.registry import job, make_env
from rl import chat
from rl.density.table import ALL
from rl.errors import UserError
from rl.evaluation.statistics import Estimate, mean_over_problems
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


def measure(recipe: Recipe, model_dir: Path, log: Path) -> dict[str, Any]:
    """Everything that the family's table says of one member.

    Returns:
        `tokens` it was trained on, `problems`, `samples`, and `by_env`: by kind of task, with "all"
        for all of them, `loss`, `score` and `mean_tokens`.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_dir, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    drawn = Tasks(recipe).held_out
    names = env_names(drawn)
    _say("loss of held-out worked solutions")
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, loss in losses(model, tokenizer, drawn, names).items():
        found[name]["loss"] = loss
    answers = sample(model, tokenizer, drawn, recipe)
    verdicts = asyncio.run(judged(drawn, [[text for text, _ in a] for a in answers], recipe, log))
    lengths = [fmean(n for _, n in of_task) for of_task in answers]
    for name, of_env in _by_name(names, range(len(drawn))):
        found[name]["mean_tokens"] = fmean(lengths[i] for i in of_env)
        found[name]["score"] = _score([verdicts[i] for i in of_env])._asdict()
    return {
        "tokens": trained_tokens(tokenizer, recipe),
        "problems": len(drawn),
        "samples": recipe.evaluation.samples,
        "by_env": dict(found),
    }


def env_names(drawn: Sequence[Drawn]) -> list[str]:
    """Of each task's environment: its name, with its options where two share the name."""
    kinds = [(d.env, json.dumps(d.options)) for d in drawn]
    shared = Counter(name for name, _ in set(kinds))
    return [name if shared[name] == 1 else f"{name} {options}" for name, options in kinds]


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
) -> list[list[tuple[str, int]]]:
    """`evaluation.samples` answers to every task, each with its tokens, as runs are evaluated:
    the plain distribution at evaluation.temperature, nothing cut from it."""
    torch.manual_seed(recipe.seed)
    k, temperature = recipe.evaluation.samples, recipe.evaluation.temperature
    plain = {"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    prompts = [chat.encode(tokenizer, d.task) for d in drawn]
    found: list[list[tuple[str, int]]] = [[] for _ in drawn]
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
            **plain,
        )[:, given["input_ids"].shape[1] :].tolist()
        for i, tokens in zip(part, out, strict=True):
            ends = tokenizer.eos_token_id in tokens  # behind the end stands padding
            kept = tokens[: tokens.index(tokenizer.eos_token_id) + 1] if ends else tokens
            found[i].append((chat.decode(tokenizer, kept), len(kept)))
    return found


async def judged(
    drawn: Sequence[Drawn], answers: Sequence[Sequence[str]], recipe: Recipe, log: Path
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
            jobs = [job(d.env, d.options, d.task, text) for text in own]
            found.append(list(await asyncio.gather(*(pool.verify(one, control) for one in jobs))))
    return found


def _score(verdicts: Sequence[Sequence[Verdict]]) -> Estimate:
    """avg@k; broken verdicts count neither way.

    Raises:
        UserError: there is no other.
    """
    kept = [[v.score for v in own if v.outcome is not Outcome.BROKEN] for own in verdicts]
    if not any(kept):
        detail = verdicts[0][0].detail
        raise UserError(f"the verifier failed on every answer, and so there is no score: {detail}")
    return mean_over_problems([fmean(own) for own in kept if own])


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
