"""The forecast of a run's last score, made at every evaluation while it trains."""

from collections.abc import Sequence
from typing import Any

from rl.recipe.config import Recipe
from rl.scaling.forecast import TooLittle, fit_curve, too_wide
from rl.scaling.runs import compute_by_step, curve


def forecast_of_last_step(
    recipe: Recipe,
    evaluations: Sequence[dict[str, Any]],
    metrics: Sequence[dict[str, Any]],
    parameters: int,
) -> dict[str, Any] | None:
    """The field `forecast` of the newest evaluation. Depends on nothing that varies with time.

    Args:
        evaluations: rows of evals.jsonl, the newest last. metrics: rows of metrics.jsonl.
        parameters: of the policy; 0 where they cannot be counted.

    Returns:
        `step` (the last one), `compute` (FLOP by then), `score` and `asymptote` with their
        intervals; None where there is too little curve, or nothing left to forecast.
    """
    if not parameters or evaluations[0]["step"] != 0 or len(metrics) >= recipe.steps:
        return None
    spent = compute_by_step(metrics, recipe, "flop", parameters)
    seen = curve(recipe, "flop", evaluations, spent)
    fit = fit_curve(seen.start.score, seen.points)
    if isinstance(fit, TooLittle):
        return None
    score = fit.at(seen.compute_at_end)
    if too_wide(score):
        return None
    return {
        "step": recipe.steps,
        "compute": seen.compute_at_end,
        "score": score._asdict(),
        "asymptote": fit.asymptote._asdict(),
    }
