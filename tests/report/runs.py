"""Run directories of any size, written by what writes real ones."""

from pathlib import Path
from random import Random
from typing import Any

from envs.base import Task
from rl.answer_tokens import TokenRows
from rl.learner.batch import pack
from rl.metrics import pace_row, sample_rows, step_row
from rl.policy.embedded import make_tokenizer
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from rl.record import RunDirectory
from rl.sampling.pace import Pace
from rl.types import Completion, Graded, Group, Rollout, Span, Stop, TokenFigures, Update
from verifiers.verdict import Verdict, correct, unparsed, wrong

TOKENIZER = make_tokenizer(512)
HOSTILE = [
    "<img src=x onerror=\"document.title='attacked'\">",
    "</script><script>document.title='attacked'</script>",
    "<svg onload=document.title='attacked'>\u202e&lt;b&gt;",
    "\ud800 \x1b[2J\u2028<style>*{display:none}</style>",
]


def recipe(steps: int, **sections: Any) -> Recipe:
    envs = [{"name": "arithmetic", "digits": 2}]
    return Recipe.model_validate({"model": "embedded", "envs": envs, "steps": steps, **sections})


def write_run(
    path: Path,
    *,
    steps: int = 4,
    groups: int = 4,
    size: int = 4,
    finished: bool = True,
    hostile: bool = False,
) -> Path:
    """A run of random answers that get better, with an evaluation before and after."""
    path.mkdir(parents=True)
    made = recipe(steps)
    directory = RunDirectory(path)
    directory.write_text("recipe.yaml", dump(made))
    evaluate(directory, 0, 0.4)
    for step in range(1, steps + 1):
        write_step(directory, step, made, groups=groups, size=size, hostile=hostile)
    if finished:
        evaluate(directory, steps, 0.8)
        directory.write_json("summary.json", {"before": {}, "after": {}, "steps": steps})
        directory.write_json("sessions.json", [{"began": 0.0, "policy_s": 1.0, "wall_s": 90.0}])
    return path


def evaluate(directory: RunDirectory, step: int, value: float) -> None:
    found = {"value": value, "low": value - 0.05, "high": value + 0.05}
    row = {
        "step": step,
        "problems": 8,
        "samples": 2,
        "avg_at_k": found,
        "pass_k": 2,
        "pass_at_k": found,
    }
    directory.append("evals.jsonl", [row])


def write_step(
    directory: RunDirectory,
    step: int,
    made: Recipe,
    *,
    groups: int = 4,
    size: int = 4,
    hostile: bool = False,
) -> None:
    rng = Random(step)
    answers = [_group(rng, step, made.steps, size) for _ in range(groups)]
    if hostile and step == 1:
        answers[0] = [_graded("1+1=?", text, wrong(text, text), 0.0, 1) for text in HOSTILE]
        answers[0].append(_graded(HOSTILE[0], "2", correct("2"), 1.0, 1))
    packed = pack(answers, made)
    n_trained = int(packed.batch.loss_mask.sum())
    advantages = packed.batch.advantages[packed.batch.loss_mask].tolist()
    figures = TokenFigures([rng.gauss(0, 0.02) for _ in range(n_trained)], advantages)
    tokens = TokenRows(TOKENIZER, made.record.tokens_per_step, figures)
    row = step_row(step, answers, [], packed, _update(step, n_trained), 0.0)
    row["time"] = {"sample_s": 1.0, "learn_s": 0.5, "publish_s": 0.1}
    row["pace"] = pace_row(Pace(0.25, 900.0), row["time"])
    rows = sample_rows(step, answers, split="train", training=packed, tokens=tokens)
    directory.append("samples.jsonl", rows)
    directory.append("metrics.jsonl", [row])


def _group(rng: Random, step: int, steps: int, size: int) -> Group:
    a, b = rng.randrange(10, 100), rng.randrange(10, 100)
    return [_answer(rng, f"{a}+{b}=?", a + b, step, 0.3 + 0.6 * step / steps) for _ in range(size)]


def _answer(rng: Random, prompt: str, truth: int, step: int, skill: float) -> Graded:
    luck = rng.random()
    if luck < skill:
        return _graded(prompt, f"it is \\boxed{{{truth}}}", correct(str(truth)), 1.0, step)
    if luck < 0.95:
        text = f"it is \\boxed{{{truth + 1}}}"
        return _graded(prompt, text, wrong(str(truth + 1), f"not {truth}"), 0.0, step)
    return _graded(prompt, "no idea", unparsed("no boxed answer"), 0.0, step)


def _graded(prompt: str, text: str, verdict: Verdict, reward: float, step: int) -> Graded:
    printable = text.encode("utf-8", "replace").decode()
    tokens = TOKENIZER.encode(printable, add_special_tokens=False)
    middle = len(tokens) // 2
    spans = (Span(step - 1, 0, middle), Span(step, middle, len(tokens)))
    completion = Completion(tokens, [-0.1] * len(tokens), Stop.FINISHED, spans)
    return Graded(Rollout("arithmetic", Task(prompt, "2"), [1], completion, text), verdict, reward)


def _update(step: int, n_trained: int) -> Update:
    return Update(
        version=step + 1, loss=0.0, grad_norm=0.1, lr=1e-3, clip_fraction=0.0, masked_fraction=0.0,
        mismatch_kl=1e-9 * step, logprob_diff_mean=0.0, logprob_diff_max=0.0, ratio_max=1.0,
        prob_diff_max=0.0, n_tokens=n_trained, n_trained_tokens=n_trained, n_micro_batches=1,
        entropy=0.5 / step, optional={},
    )  # fmt: skip
