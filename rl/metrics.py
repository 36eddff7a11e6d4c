"""Rows for metrics.jsonl and samples.jsonl. A name says what, over which rollouts, which unit."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from envs.registry import job
from rl.alarms import Signs
from rl.answer_tokens import TokenRows
from rl.learner.batch import Packed
from rl.sampling.pace import Pace
from rl.types import Group, Stop, Update, new_answers
from verifiers.verdict import Outcome


def step_row(
    step: int,
    groups: list[Group],
    canaries: list[Group],
    packed: Packed,
    update: Update,
    agreement: float,
) -> dict[str, Any]:
    """One step in numbers. Equal for equal recipe and seed; the time is added by the caller."""
    members = new_answers(groups)
    lengths = sorted(len(g.rollout.completion.tokens) for g in members)
    outcomes = Counter(str(g.verdict.outcome) for g in members)
    newest = update.version - 1  # the weights that this update started from
    rollouts = [g.rollout for g in members]
    versions = [r.version for r in rollouts if r.completion.stop is not Stop.FAILED]
    critic = {} if update.critic is None else {"critic": update.critic._asdict()}
    return {
        "step": step,
        "reward": mean_reward(groups),
        "outcomes": {str(o): outcomes[str(o)] / len(members) for o in Outcome},
        "signal_fraction": packed.signal_groups / len(groups),
        "skipped": dict(Counter(why for group in packed.skipped for why in group if why)),
        "truncated_fraction": _truncated(groups),
        "canaries": {
            "answers": sum(map(len, canaries)),
            "paid": sum(g.verdict.score > 0 for group in canaries for g in group),
        },
        "staleness_max": newest - min(versions, default=newest),
        "staleness_mean": newest - sum(versions) / len(versions) if versions else 0.0,
        "response_tokens": {
            "sum": sum(lengths),
            "mean": sum(lengths) / len(lengths),
            "p95": lengths[int(0.95 * (len(lengths) - 1))],
            "max": lengths[-1],
        },
        "loss": update.loss,
        "grad_norm": update.grad_norm,
        "lr": update.lr,
        "clip_fraction": update.clip_fraction,
        "masked_fraction": update.masked_fraction,
        "mismatch_kl": update.mismatch_kl,
        "logprob_diff_mean": update.logprob_diff_mean,
        "logprob_diff_max": update.logprob_diff_max,
        "ratio_max": update.ratio_max,
        "prob_diff_max": update.prob_diff_max,
        "entropy": update.entropy,
        **update.optional,
        "n_tokens": update.n_tokens,
        "n_trained_tokens": update.n_trained_tokens,
        "n_micro_batches": update.n_micro_batches,
        "weights_logprob_diff": agreement,
        **critic,
    }


def pace_row(servers: Pace, phases: dict[str, float]) -> dict[str, float]:
    """How busy servers and learner were; `phases`: seconds of everything the loop did since."""
    whole_s = sum(phases.values())
    return {
        "servers_idle_fraction": round(servers.idle_fraction, 4),
        "learner_idle_fraction": round(1 - phases["learn_s"] / whole_s, 4),
        "sampled_tokens_per_s": round(servers.tokens_per_s, 1),
    }


def mean_reward(groups: list[Group]) -> float:
    """Over every rollout with a verdict, those of skipped groups too; 0 where there is none."""
    rewards = [g.reward for g in new_answers(groups) if _judged(g.verdict.outcome)]
    return sum(rewards) / len(rewards) if rewards else 0.0


def signs(step: int, groups: list[Group], packed: Packed, max_new_tokens: int) -> Signs:
    """What the warnings look at."""
    cut_off = _cut_off(groups)
    early = sum(len(g.rollout.completion.tokens) < max_new_tokens for g in cut_off)
    return Signs(
        step=step,
        reward=mean_reward(groups),
        signal_groups=packed.signal_groups,
        truncated_fraction=_truncated(groups),
        context_ended=2 * early > len(cut_off),
    )


def sample_rows(
    step: int,
    groups: list[Group],
    *,
    split: str,
    training: Packed | None,
    tokens: TokenRows | None = None,
) -> Iterator[dict[str, Any]]:
    """One row per answer; `training` says what became of it in the update, None: no update.
    `tokens` says what became of its tokens; None: that is not written."""
    for g, group in enumerate(groups):
        for s, graded in enumerate(group):
            if graded.baseline_only:
                continue  # it has its row already
            rollout, verdict = graded.rollout, graded.verdict
            stored = job(rollout.env, rollout.options, rollout.task, rollout.response)
            row = {
                "step": step,
                "split": split,
                "id": f"{split}/{step}/{g}/{s}",
                "task": rollout.task.key[:16],
                **stored,
                "stop": str(rollout.completion.stop),
                "prompt_tokens": len(rollout.prompt_tokens),
                "response_tokens": len(rollout.completion.tokens),
                "chunks": [list(chunk) for chunk in rollout.completion.chunks],
                "injected": [list(part) for part in rollout.completion.injected],
                "versions": [list(span) for span in rollout.completion.spans],
                "verdict": verdict.to_json(),
                "reward": graded.reward,
            }
            if training is not None:
                row["advantage"] = training.advantages[g][s]
                row["trained"] = training.skipped[g][s] is None
                row["skipped"] = training.skipped[g][s]
            of_tokens = tokens and tokens.of(rollout, trained=row.get("trained", False))
            if of_tokens is not None:
                row["tokens"] = of_tokens
            yield row


def _judged(outcome: Outcome) -> bool:
    return outcome is not Outcome.BROKEN


def _cut_off(groups: list[Group]) -> Group:
    members = new_answers(groups)
    return [g for g in members if g.rollout.completion.stop is Stop.LENGTH]


def _truncated(groups: list[Group]) -> float:
    return len(_cut_off(groups)) / len(new_answers(groups))
