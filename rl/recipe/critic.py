"""The recipe's `critic:` section: what estimates values, and what its estimates are used for.

Without torch: the supervisor reads this too.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rl.recipe.schema import Clash, Count, Positive, Section, Share

USUAL_LENGTH_ALPHA = 0.05  # VAPO, arXiv:2504.05118
USUAL_COEF = 0.1


class Critic(Section):
    """PPO's estimate of the reward to come, before every sampled token. With it
    `algorithm.advantage` is gae, and one answer per task is enough. How it works is in
    [algorithms.md](algorithms.md#ppo-with-a-critic)."""

    trunk: Literal["own", "shared"] = "own"
    """own: a copy of the starting policy with a value head, trained apart; shared: a value head on
    the policy itself, whose gradient reaches the policy too."""

    lr: Positive = 2e-6
    """Learning rate of AdamW, from the first step on: of the critic, or of a shared trunk's head.
    The rest of the optimiser is as in `learner`."""

    coef: Positive | None = None
    """shared: of the value loss, in its sum with the policy loss. None with a trunk of its own."""

    updates: Count = 1
    """Updates of the critic per step, each on all of its answers. A shared trunk has one."""

    value_clip: Positive | None = None
    """From a step's second update on, a value counts as moved by at most so much since the first.
    None: no bound."""

    lambda_critic: Share = 1.0
    """GAE's lambda in the critic's targets. 1: the reward that was paid, without bias."""

    lambda_policy: Literal["by_length"] | Share = 0.95
    """GAE's lambda in the policy's advantages; `by_length`: 1 - 1 / (length_alpha x tokens of the
    answer), at least 0."""

    length_alpha: Positive | None = None
    """by_length: smaller trusts the critic more. Answers of up to 1 / length_alpha tokens have a
    lambda of 0."""

    discount: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of a reward, per token that it lies ahead."""

    normalize_advantages: bool = True
    """True gives the step's advantages mean 0 and standard deviation 1, over its tokens."""

    pretraining_steps: Annotated[int, Field(ge=0)] = 10
    """Steps at the start in which only the critic learns; the policy is frozen."""

    def policy_frozen(self, step: int) -> bool:
        """Whether in this step, counted from 1, only the critic learns."""
        return step <= self.pretraining_steps

    @model_validator(mode="after")
    def _a_shared_trunk_learns_with_the_policy(self) -> "Critic":
        if self.trunk == "shared" and self.coef is None:
            raise Clash(
                "critic.trunk 'shared' needs critic.coef (found null): how much the value loss "
                f"counts beside the policy's, usually {USUAL_COEF}",
                "coef",
                "trunk",
            )
        if self.trunk == "own" and self.coef is not None:
            raise Clash(
                f"critic.coef ({self.coef:g}) weighs the value loss against the policy's where "
                "they share a trunk (found critic.trunk 'own', which has an optimiser of its "
                "own): leave it out",
                "coef",
                "trunk",
            )
        if self.trunk == "shared" and self.updates > 1:
            raise Clash(
                f"critic.updates ({self.updates}) above 1 needs critic.trunk 'own' (found "
                "'shared'): a shared trunk is updated with the policy, once per step",
                "updates",
                "trunk",
            )
        if self.value_clip is not None and self.updates == 1:
            raise Clash(
                f"critic.value_clip ({self.value_clip:g}) acts from the second update of a step "
                "on: raise critic.updates (found 1), or leave it out",
                "value_clip",
                "updates",
            )
        return self

    @model_validator(mode="after")
    def _length_decides_lambda_where_it_is_asked_to(self) -> "Critic":
        by_length = self.lambda_policy == "by_length"
        if by_length and self.length_alpha is None:
            raise Clash(
                "critic.lambda_policy 'by_length' needs critic.length_alpha (found null): usually "
                f"{USUAL_LENGTH_ALPHA}",
                "length_alpha",
                "lambda_policy",
            )
        if not by_length and self.length_alpha is not None:
            raise Clash(
                f"critic.length_alpha ({self.length_alpha:g}) belongs to critic.lambda_policy "
                f"'by_length' (found {self.lambda_policy}): leave one of the two out",
                "length_alpha",
                "lambda_policy",
            )
        return self
