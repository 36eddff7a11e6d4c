"""What a verdict is worth: the recipe's policy over the verifier's facts."""

from rl.recipe.sections import Reward
from verifiers.verdict import Outcome, Verdict


def soft_overlong(n_tokens: int, budget: int, window: int) -> float:
    """What the length of an answer costs: 0 to -1, in a line over the last `window` tokens.

    Source: DAPO (arXiv:2503.14476, eq. 13), whose L_max is `budget` and L_cache is `window`.
    """
    return min(0.0, max(-1.0, (budget - window - n_tokens) / window))


def reward_of(verdict: Verdict, worth: Reward) -> float:
    """The reward of a verdict, in the recipe's units.

    Raises:
        ValueError: a broken verdict. The verifier failed, so there is nothing to reward; the caller
            leaves the rollout out of the loss.
    """
    match verdict.outcome:
        case Outcome.CORRECT:
            return worth.correct
        case Outcome.PARTIAL:
            return verdict.score if worth.partial == "score" else float(worth.partial)
        case Outcome.WRONG:
            return worth.wrong
        case Outcome.UNPARSED:
            return worth.unparsed
        case Outcome.EXCEEDED:
            return worth.exceeded
        case Outcome.BROKEN:
            raise ValueError("a broken verdict has no reward")
