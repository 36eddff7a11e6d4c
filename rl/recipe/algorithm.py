"""The recipe's `algorithm:` section: a preset expands into parts, each of which can be written out.

An algorithm is an advantage, a policy loss, an aggregation and a correction, each a file of
rl/algorithm/. Without torch: the supervisor reads this too.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rl.recipe.schema import Clash, Count, NotNegative, Positive, Section, Share

Band = Annotated[list[NotNegative], Field(min_length=2, max_length=2)]

DEFAULT_PRESET = "dapo"
PRESET_AHEAD = "dppo"  # the default where sampling runs ahead of the learner

# What makes each algorithm. Where a source lets a number open, docs/algorithms.md says which.
PRESETS: dict[str, dict[str, Any]] = {
    "grpo": {  # arXiv:2402.03300
        "advantage": "group_std",
        "loss": "clip",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "aggregation": "sequence",
    },
    "dr_grpo": {  # arXiv:2503.20783
        "advantage": "group_mean",
        "loss": "clip",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "aggregation": "constant",
    },
    "dapo": {  # arXiv:2503.14476
        "advantage": "group_std",
        "loss": "clip",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "aggregation": "token",
    },
    "gspo": {  # arXiv:2507.18071
        "advantage": "group_std",
        "loss": "gspo",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
        "aggregation": "sequence",
    },
    "cispo": {  # arXiv:2506.13585
        "advantage": "group_std",
        "loss": "reinforce",
        "weight_max": 5.0,
        "aggregation": "token",
    },
    "rloo": {  # arXiv:2402.14740
        "advantage": "leave_one_out",
        "loss": "reinforce",
        "weight_max": 2.0,
        "aggregation": "constant",
    },
    "reinforce++": {  # arXiv:2501.03262, the variant with a group baseline
        "advantage": "batch_std",
        "loss": "clip",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "aggregation": "token",
    },
    "gmpo": {  # arXiv:2507.20673
        "advantage": "group_std",
        "loss": "gmpo",
        "clip_nats": 0.4,
        "aggregation": "sequence",
    },
    "sapo": {  # arXiv:2511.20347
        "advantage": "group_std",
        "loss": "sapo",
        "gate_positive": 1.0,
        "gate_negative": 1.05,
        "aggregation": "sequence",
    },
    "icepop": {  # arXiv:2510.18855
        "advantage": "group_std",
        "loss": "reinforce",
        "weight_max": 5.0,
        "token_band": [0.5, 5.0],
        "aggregation": "token",
    },
    "dppo": {  # arXiv:2602.04879; the penalty: arXiv:2602.02276
        "advantage": "group_mean",
        "loss": "dppo",
        "tv_max": 0.2,
        "log_ratio_coef": 1e-3,
        "aggregation": "token",
    },
    "scalerl": {  # arXiv:2510.13786
        "advantage": "batch_std",
        "loss": "reinforce",
        "weight_max": 5.0,
        "aggregation": "prompt",
    },
    "ppo": {  # arXiv:1707.06347; every token alike: arXiv:2504.05118
        "advantage": "gae",
        "loss": "clip",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "aggregation": "token",
    },
}

# The numbers of each loss, with their values where another loss than the preset's is written out.
LOSS_NUMBERS: dict[str, dict[str, float | None]] = {
    "clip": {"clip_low": 0.2, "clip_high": 0.28, "clip_dual": None},
    "gspo": {"clip_low": 3e-4, "clip_high": 4e-4},
    "gmpo": {"clip_nats": 0.4},
    "sapo": {"gate_positive": 1.0, "gate_negative": 1.05},
    "dppo": {"tv_max": 0.2},
    "reinforce": {"weight_max": 2.0},
}
NUMBERS = sorted({name for numbers in LOSS_NUMBERS.values() for name in numbers})
MAY_BE_NULL = ("clip_dual", "weight_max")
RATIO_OF_ANSWERS = ("gspo", "gmpo")  # losses whose ratio is that of a whole answer


class Algorithm(Section):
    """The policy gradient. `preset` names a set of parts, shown in [algorithms.md](algorithms.md);
    any of the other keys that is written replaces its part. The defaults below are those of `dapo`;
    with `max_staleness` above 0 those of `dppo` take their place.
    `--dry-run` prints the formula that follows. r is the ratio of the learner's to the sampler's
    probability of a token."""

    preset: Literal[
        "grpo",
        "dr_grpo",
        "dapo",
        "gspo",
        "cispo",
        "rloo",
        "reinforce++",
        "gmpo",
        "sapo",
        "icepop",
        "dppo",
        "scalerl",
        "ppo",
    ] = DEFAULT_PRESET
    """The parts that are not written out."""

    advantage: Literal["group_mean", "group_std", "batch_std", "leave_one_out", "gae", "none"] = (
        "group_std"
    )
    """group_mean: reward - mean of its group; group_std: that over the group's standard deviation;
    batch_std: that over the deviation of all groups of the step whose rewards differ;
    leave_one_out: reward - mean of the others in its group; gae: of every token, by the values of a
    critic (PPO); none: rewards are not looked at, only a teacher teaches."""

    loss: Literal["clip", "gspo", "gmpo", "sapo", "dppo", "reinforce"] = "clip"
    """clip: the ratio of a token, clipped (PPO, GRPO, DAPO); gspo: the ratio of an answer, clipped;
    gmpo: its geometric mean over clipped tokens; sapo: a soft gate; dppo: tokens whose probability
    moved too far are left out; reinforce: log-probabilities with truncated weights (CISPO, RLOO).
    """

    clip_low: Share | None = 0.2
    """clip, gspo: the ratio is clipped to [1 - clip_low, 1 + clip_high]. 0 to 1."""

    clip_high: NotNegative | None = 0.28
    """clip, gspo: larger than clip_low is DAPO's clip-higher."""

    clip_dual: Positive | None = None
    """clip: with a negative advantage the ratio counts up to this; above 1 + clip_high. None: no
    bound."""

    clip_nats: Positive | None = None
    """gmpo: the log-ratio of a token is clipped to [-clip_nats, clip_nats]."""

    gate_positive: Positive | None = None
    """sapo: steepness of the gate where the advantage is positive."""

    gate_negative: Positive | None = None
    """sapo: the same where it is negative; larger forgets a moved token sooner."""

    tv_max: Share | None = None
    """dppo: how far a token's probability may move away from the sampler's. 0 to 1."""

    weight_max: Positive | None = None
    """reinforce: the weight of a token is r, at most so much, without gradient. None: the weight is
    1, right only where sampler and learner are the same policy."""

    aggregation: Literal["token", "sequence", "prompt", "constant"] = "token"
    """token: mean over the step's tokens; sequence: over answers, of the mean over their tokens;
    prompt: over tasks, of the mean over the tokens of all their answers; constant: over answers, of
    the sum over their tokens, over constant_tokens."""

    constant_tokens: Count | None = None
    """constant: the divisor; None: rollout.max_new_tokens."""

    token_band: Band | None = None
    """Tokens with r outside [low, high] are left out. None: none are."""

    sequence_band: Band | None = Field(default=[0.5, 2.0])
    """Answers with a geometric mean of r outside [low, high] are left out, whatever their length.
    None: none are."""

    log_ratio_coef: NotNegative = 0.0
    """Of the squared log-ratio of every token, which is added to its loss."""

    kl_coef: NotNegative = 0.0
    """Of the KL divergence from the frozen policy of section `reference`, nats per token. 0: no
    such policy is loaded."""

    kl_estimator: Literal["k1", "k2", "k3", "unbiased"] = "unbiased"
    """How it is estimated; each has a gradient of its own, see algorithms.md. k1: in the advantage;
    k2: half the squared log-ratio; k3: never negative, the gradient of the other direction;
    unbiased: k3 times r, right for old samples too."""

    entropy_coef: NotNegative = 0.0
    """Of the policy's entropy, nats per token, which is added to what is maximised. With
    entropy_target its value in the first step."""

    entropy_target: Positive | None = None
    """Nats per token: entropy_coef rises while the entropy is below and falls while it is above,
    down to 0. None: it stays as it is."""

    entropy_coef_step: Positive = 0.001
    """entropy_target: how far entropy_coef moves after every update."""

    @property
    def takes_answers_whole(self) -> bool:
        """Whether it looks at all tokens of an answer together, its chunks included."""
        return self.loss in RATIO_OF_ANSWERS or self.sequence_band is not None

    @model_validator(mode="before")
    @classmethod
    def _expand_the_preset(cls, written: Any) -> Any:
        """What is not written comes from the preset; the numbers of a loss from that loss."""
        if not isinstance(written, dict):
            return written
        name = written.get("preset", DEFAULT_PRESET)
        preset = PRESETS.get(name if isinstance(name, str) else "", PRESETS[DEFAULT_PRESET])
        loss = written.get("loss", preset["loss"])
        own = preset if loss == preset["loss"] else {}
        general = LOSS_NUMBERS.get(loss, {}) if isinstance(loss, str) else {}
        numbers = {key: own.get(key, general.get(key)) for key in NUMBERS}
        return {**preset, **numbers, **written}

    @model_validator(mode="after")
    def _every_number_is_one_of_its_loss(self) -> "Algorithm":
        used = LOSS_NUMBERS[self.loss]
        for key in NUMBERS:
            value = getattr(self, key)
            if value is not None and key not in used:
                why = ""
                if key == "weight_max":
                    why = "; its ratio is in the loss already, a weight would count it twice"
                users = " and ".join(x for x in LOSS_NUMBERS if key in LOSS_NUMBERS[x])
                raise Clash(
                    f"algorithm.{key} ({value}) belongs to algorithm.loss {users} and has no "
                    f"meaning in '{self.loss}'{why}: leave it out",
                    key,
                    "loss",
                )
            if value is None and key in used and key not in MAY_BE_NULL:
                raise Clash(
                    f"algorithm.loss '{self.loss}' needs algorithm.{key} (found null): leave it "
                    f"out, or give a number, usually {used[key]}",
                    key,
                    "loss",
                )
        if self.clip_dual is not None and self.clip_dual <= 1 + (self.clip_high or 0):
            raise Clash(
                f"algorithm.clip_dual ({self.clip_dual}) must be above 1 + algorithm.clip_high "
                f"({self.clip_high}), or it cuts into what clipping leaves alone",
                "clip_dual",
                "clip_high",
            )
        return self

    @model_validator(mode="after")
    def _what_is_left_out_makes_sense(self) -> "Algorithm":
        for key, band in (("token_band", self.token_band), ("sequence_band", self.sequence_band)):
            if band is not None and not band[0] < 1 < band[1]:
                raise Clash(
                    f"algorithm.{key} ({band}) must be [low, high] with low < 1 < high: where "
                    "sampler and learner agree the ratio is 1, and all would be left out",
                    key,
                )
        if self.token_band is not None and self.loss in RATIO_OF_ANSWERS:
            raise Clash(
                f"algorithm.token_band ({self.token_band}) leaves out single tokens, and the ratio "
                f"of algorithm.loss '{self.loss}' is that of a whole answer: set "
                "algorithm.token_band=null and use algorithm.sequence_band",
                "token_band",
                "loss",
            )
        if self.kl_coef and self.kl_estimator == "k1" and self.loss in RATIO_OF_ANSWERS:
            raise Clash(
                "algorithm.kl_estimator 'k1' gives every token an advantage of its own, and the "
                f"ratio of algorithm.loss '{self.loss}' is that of a whole answer: take "
                "algorithm.kl_estimator unbiased",
                "kl_estimator",
                "loss",
            )
        if self.advantage == "gae" and self.loss in RATIO_OF_ANSWERS:
            raise Clash(
                f"algorithm.advantage 'gae' tells the tokens of an answer apart, and the ratio of "
                f"algorithm.loss '{self.loss}' is that of a whole answer: take another loss, "
                "usually clip",
                "advantage",
                "loss",
            )
        if self.constant_tokens is not None and self.aggregation != "constant":
            raise Clash(
                f"algorithm.constant_tokens ({self.constant_tokens}) is the divisor of "
                f"algorithm.aggregation constant (found '{self.aggregation}'): leave one of the "
                "two out",
                "constant_tokens",
                "aggregation",
            )
        return self
