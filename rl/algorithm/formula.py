"""The formula that a recipe optimises, with its numbers, in plain text. Without torch."""

from collections.abc import Iterator

from rl.recipe.algorithm import Algorithm
from rl.recipe.critic import Critic
from rl.recipe.guides import Reference, Teacher

ADVANTAGES = {
    "group_mean": "R - mean R of the task's answers",
    "group_std": "(R - mean R) / standard deviation of R, of the task's answers",
    "batch_std": "(R - mean R of the task's answers) / its standard deviation where R differ",
    "leave_one_out": "R - mean R of the task's other answers",
    "gae": "GAE of each token, by the values V of the critic",
}


def formula(
    algorithm: Algorithm,
    max_new_tokens: int,
    truncated: str = "train",
    reference: Reference = Reference(),  # noqa: B008  (immutable)
    teacher: Teacher | None = None,
) -> list[str]:
    """What is minimised, what its letters are, and what is left out of it: two to four lines."""
    mean = _mean(algorithm.aggregation, algorithm.constant_tokens or max_new_tokens)
    pull = f" + {algorithm.log_ratio_coef:g} (log r)^2" if algorithm.log_ratio_coef else ""
    lines = [
        f"minimise {mean} of {_loss(algorithm)}{pull}{_kl(algorithm)}{_entropy(algorithm)}",
        f"r = {_ratio(algorithm)}; A = {_advantage(algorithm, teacher)}",
    ]
    if letters := list(_letters(algorithm, reference, teacher)):
        lines.append("; ".join(letters))
    if left_out := list(_left_out(algorithm, truncated)):
        lines.append("left out: " + "; ".join(left_out))
    return lines


def _kl(a: Algorithm) -> str:
    if not a.kl_coef or a.kl_estimator == "k1":
        return ""
    term = {
        "k2": "(log(p / p0))^2 / 2",
        "k3": "(p0 / p - 1 - log(p0 / p))",
        "unbiased": "p / q (p0 / p - 1 - log(p0 / p))",
    }[a.kl_estimator]
    return f" + {a.kl_coef:g} {term}"


def _entropy(a: Algorithm) -> str:
    if a.entropy_target is not None:
        return " - c H"
    return f" - {a.entropy_coef:g} H" if a.entropy_coef else ""


def _advantage(a: Algorithm, teacher: Teacher | None) -> str:
    terms = [] if a.advantage == "none" else [ADVANTAGES[a.advantage]]
    if a.kl_coef and a.kl_estimator == "k1":
        terms.append(f"{a.kl_coef:g} log(p0 / q)")
    if teacher is not None:
        terms.append(f"{teacher.coef:g} log(t / q)")
    return " + ".join(terms)


def _letters(a: Algorithm, reference: Reference, teacher: Teacher | None) -> Iterator[str]:
    """What the optional parts bring."""
    if a.kl_coef:
        whose = reference.model or "the starting policy"
        later = f", the policy itself anew every {reference.every} steps" if reference.every else ""
        yield f"p0 = a token's probability by {whose}{later}"
    if teacher is not None:
        yield f"t = by the teacher {teacher.model}"
    if a.entropy_target is not None:
        yield (
            f"H = entropy of p, nats; c = {a.entropy_coef:g}, after each step "
            f"{a.entropy_coef_step:g} more where H was below {a.entropy_target:g}, else less"
        )
    elif a.entropy_coef:
        yield "H = entropy of p, nats"


def critic_formula(critic: Critic) -> list[str]:
    """What the critic adds to the formula: GAE's numbers, and what it minimises itself."""
    policy = critic.lambda_policy
    if policy == "by_length":
        policy = f"1 - 1 / ({critic.length_alpha:g} x tokens of the answer)"
    scaled = ", A then scaled to mean 0 and deviation 1" if critic.normalize_advantages else ""
    bound = f", V held within {critic.value_clip:g} of before" if critic.value_clip else ""
    beside = "" if critic.coef is None else f"{critic.coef:g} x "
    return [
        f"GAE with lambda {policy}, discount {critic.discount:g}{scaled}",
        f"critic: minimise {beside}the mean over the step's sampled tokens of (V - target)^2 / 2"
        f"{bound}; target: GAE with lambda {critic.lambda_critic:g}, + V",
    ]


def _loss(a: Algorithm) -> str:
    match a.loss:
        case "clip" | "gspo":
            low, high = 1 - (a.clip_low or 0), 1 + (a.clip_high or 0)
            dual = "" if a.clip_dual is None else f" (r at most {a.clip_dual:g} where A < 0)"
            return f"-min(r A, clip(r, {low:g}, {high:g}) A){dual}"
        case "gmpo":
            return "-r A"
        case "sapo":
            up, down = a.gate_positive, a.gate_negative
            return f"-A sigmoid(g (r - 1)) 4 / g, g = {up:g} where A > 0, else {down:g}"
        case "dppo":
            return f"-r A (0 where p moved from q by more than {a.tv_max:g} the way A pushes)"
        case "reinforce":
            weight = "" if a.weight_max is None else f"min(r, {a.weight_max:g}) "
            return f"-{weight}A log p" + (" (the weight has no gradient)" if weight else "")


def _ratio(a: Algorithm) -> str:
    token = "p / q, a token's probability by learner and sampler"
    if a.loss == "gspo":
        return f"geometric mean over the answer of {token}"
    if a.loss == "gmpo":
        sides = f"at most e^{a.clip_nats:g} where A > 0, else at least e^-{a.clip_nats:g}"
        return f"geometric mean over the answer of {token}, each {sides}"
    return token


def _mean(aggregation: str, constant: int) -> str:
    return {
        "token": "the mean over the step's sampled tokens",
        "sequence": "the mean over answers of the mean over their tokens",
        "prompt": "the mean over tasks of the mean over the tokens of all their answers",
        "constant": f"the mean over answers of the sum over their tokens / {constant:,}",
    }[aggregation]


def _left_out(a: Algorithm, truncated: str) -> Iterator[str]:
    if a.sequence_band is not None:
        low, high = a.sequence_band
        yield f"answers whose geometric mean of p / q is not in [{low:g}, {high:g}]"
    if a.token_band is not None:
        low, high = a.token_band
        yield f"tokens whose p / q is not in [{low:g}, {high:g}]"
    if truncated == "mask":
        yield "answers that ran out of tokens"
