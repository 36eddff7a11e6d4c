"""The processes in which a recipe's answers are judged."""

from pathlib import Path
from typing import Literal

from rl.recipe.config import Recipe
from verifiers.pool import VerifierPool

Entry = Literal["judge", "recheck"]  # functions of envs/registry.py


def verifier_pool(
    recipe: Recipe, log: Path, *, entry: Entry = "judge", workers: int | None = None
) -> VerifierPool:
    """Workers that are ready for every environment of the recipe.

    Args:
        log: file for what they print.
        workers: None: as many as `verify.workers` says.
    """
    specs = [*recipe.envs, *(recipe.evaluation.envs or [])]
    return VerifierPool(
        f"envs.registry:{entry}",
        workers=workers or recipe.verify.workers,
        prepare=[{"name": s.name, "options": s.options} for s in specs],
        limits=recipe.verify.limits,
        log_path=log,
    )
