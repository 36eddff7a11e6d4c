"""python -m benchmarks.ladder: do small policies predict a large one?

Trains benchmarks/ladder.yaml in four sizes, predicts two larger ones, and trains those to see. All
by `assay scaling plan`, so runs that are finished are not run again. The learning rates fall with
the width, as the same update of more weights is a larger one.
"""

import sys
from pathlib import Path

from rl.cli import main

RECIPE = Path(__file__).parent / "ladder.yaml"
# hidden, heads, intermediate, of two layers each: 52,928 to 1,957,376 parameters.
SIZES = ((48, 1, 96), (64, 2, 160), (96, 3, 224), (128, 4, 352), (192, 6, 512), (288, 9, 704))
SMALL = 4  # so many predict the others
WIDTH = 96  # at which the learning rates are those of the recipe
SFT_LR, LEARNER_LR = 3e-3, 2.5e-4


def changes(hidden: int, heads: int, intermediate: int) -> str:
    """One size, as overrides of the recipe."""
    return (
        f"embedded.hidden={hidden} embedded.heads={heads} embedded.kv_heads={heads} "
        f"embedded.intermediate={intermediate} sft.lr={SFT_LR * WIDTH / hidden:.3g} "
        f"learner.lr={LEARNER_LR * WIDTH / hidden:.3g}"
    )


def words() -> list[str]:
    """The arguments of `assay`."""
    small = [word for size in SIZES[:SMALL] for word in ("--rung", changes(*size))]
    large = [word for size in SIZES[SMALL:] for word in ("--target", changes(*size))]
    return ["scaling", "plan", str(RECIPE), *small, *large, "--check"]


if __name__ == "__main__":
    sys.exit(main(words()))
