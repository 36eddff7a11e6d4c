"""`assay simulate RUN`: what costs how long in a run, and what its schedule would make of it."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np

from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.load import load_recipe
from rl.record import RunDirectory
from rl.sampling.schedule import server_of
from rl.simulator.lengths import Lengths, in_turn
from rl.simulator.rules import Setup
from rl.simulator.server import Costs
from rl.simulator.simulate import simulate

WARM_UP = 1  # steps left out: kernels are compiled, the first evaluation is in their time
FEWEST = 4  # steps to fit costs to
PHASES = ("sample_s", "learn_s", "publish_s")
KEYS = (
    "max_staleness", "steps", "groups_per_step", "rollout.straggler_s", "engine.servers",
    "engine.max_num_seqs", "learner.ranks",
)  # fmt: skip
MEANING = {
    "step_s": "each decoding step of a server, which gives every answer in flight one token",
    "answer_s": "more for each answer in flight",
    "context_s": "more for each token that these hold by then",
    "request_s": "each answer begun",
    "prefill_s": "each token of a prompt, or of a context after an update",
    "verify_s": "from an answer's last token to its reward",
    "learn_step_s": "each update of the learner",
    "learn_token_s": "more for each token of it, on one rank",
    "publish_s": "from the end of an update until its weights are in the servers",
    "pause_s": "the part of that in which the servers do not decode",
}
DECODING = ("step_s", "answer_s", "context_s", "request_s")


class Measured(NamedTuple):
    """What a run did. Rows of the same step stand at the same place, the first step first."""

    recipe: Recipe
    rows: list[dict[str, Any]]  # of metrics.jsonl
    groups: list[list[Lengths]]  # those of each step, in the order of their tasks


class Fit(NamedTuple):
    costs: Costs
    sample_error: float  # median over steps of |fitted - measured| / measured
    learn_error: float
    steps: int


class Column(NamedTuple):
    """A schedule in figures, measured or simulated."""

    tokens_per_s: float
    step_s: float
    servers_idle: float | None  # None: not in the run's metrics
    learner_idle: float
    staleness_mean: float | None  # over answers, of their oldest token
    staleness_max: int


def read_run(run_dir: Path) -> Measured:
    """A run's metrics and the lengths of its answers.

    Raises:
        UserError: this is no run directory, it is too short, or its steps were not trained on the
            answers to their own tasks.
    """
    if not (run_dir / "recipe.yaml").exists():
        raise UserError(f"{run_dir} is no run directory: it holds no recipe.yaml")
    recipe = load_recipe(run_dir / "recipe.yaml", profile="")
    if recipe.rollout.straggler_s is not None:
        raise UserError(
            f"{run_dir}: with rollout.straggler_s ({recipe.rollout.straggler_s:g}) a step's "
            "answers are not those of its tasks: give a run without, and rollout.straggler_s=... "
            "behind it"
        )
    directory = RunDirectory(run_dir)
    rows = directory.rows("metrics.jsonl")
    if len(rows) < WARM_UP + FEWEST:
        raise UserError(
            f"{run_dir}: {len(rows)} steps; at least {WARM_UP + FEWEST} are needed to tell costs "
            "apart"
        )
    groups: dict[int, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in directory.rows("samples.jsonl"):
        if row["split"] == "train":
            groups[row["step"]][row["id"].rpartition("/")[0]].append(row)
    for row in rows:
        if len(groups[row["step"]]) != recipe.groups_per_step:
            raise UserError(
                f"{run_dir}: step {row['step']} was trained on {len(groups[row['step']])} tasks, "
                f"and groups_per_step is {recipe.groups_per_step}: what a step draws in addition "
                "cannot be simulated; give a run without"
            )
    return Measured(recipe, rows, [list(map(_lengths, groups[r["step"]].values())) for r in rows])


def _lengths(answers: list[dict[str, Any]]) -> Lengths:
    return Lengths(
        answers[0]["prompt_tokens"],
        tuple(answer["response_tokens"] for answer in answers),
        fmean(answer["trained"] for answer in answers),
    )


def fit(runs: Sequence[Measured]) -> Fit:
    """The costs that explain the times of synchronous runs best.

    In a synchronous step a server's time is linear in its costs: decoding steps, tokens, tokens of
    context read, answers with their prompts. What cannot be told apart in the given steps, because
    they all look alike, is put down to one of them; runs that differ in groups_per_step tell
    step_s and answer_s apart. All of the time is put down to the servers: verify_s is 0.

    Raises:
        UserError: a run is not synchronous.
    """
    for run in runs:
        if run.recipe.max_staleness:
            raise UserError(
                f"max_staleness {run.recipe.max_staleness}: costs can be told apart only in runs "
                "where sampling and learning take turns (max_staleness=0); give one with "
                "--costs-of RUN"
            )
    steps = [
        (run.recipe, row, groups)
        for run in runs
        for row, groups in list(zip(run.rows, run.groups, strict=True))[WARM_UP:]
    ]
    sample_s = np.array([row["time"]["sample_s"] for _, row, _ in steps])
    per_server = [decoding_work(groups, recipe) for recipe, _, groups in steps]
    work = np.array([max(servers, key=lambda one: one[1]) for servers in per_server])
    for _ in range(3):  # which server is the last one depends on the costs
        found = non_negative_fit(work, sample_s, always=0)
        work = np.array(
            [max(servers, key=lambda one: float(one @ found)) for servers in per_server]
        )
    learn_s = np.array([row["time"]["learn_s"] for _, row, _ in steps])
    learned = np.array([[1.0, computed(groups) / x.learner.ranks] for x, _, groups in steps])
    learning = non_negative_fit(learned, learn_s)
    publish_s = median(row["time"]["publish_s"] for _, row, _ in steps)
    threads = max(1, runs[0].recipe.learner.threads)  # a server has one
    prefill_s = float(learning[1]) * threads / 3  # forward alone: a third of learning a token
    prompt = fmean(group.prompt for _, _, groups in steps for group in groups)
    decoding = dict(zip(DECODING, map(float, found), strict=True))
    decoding["request_s"] = max(0.0, decoding["request_s"] - prefill_s * prompt)
    costs = Costs(
        **decoding,
        prefill_s=prefill_s,
        learn_step_s=float(learning[0]),
        learn_token_s=float(learning[1]),
        publish_s=publish_s,
        pause_s=publish_s,  # how much of it the servers are paused is not in the metrics
    )
    return Fit(
        costs, _error(work @ found, sample_s), _error(learned @ learning, learn_s), len(steps)
    )


def decoding_work(groups: Sequence[Lengths], recipe: Recipe) -> list[np.ndarray]:
    """What each server does for a batch that is begun at once, in the order of DECODING."""
    found = []
    for server in range(recipe.engine.servers):
        own = [g for i, g in enumerate(groups) if server_of(i, recipe.engine.servers) == server]
        answers = [(group.prompt, n) for group in own for n in group.answers]
        alone = Setup(1, max(1, len(own)), slots=recipe.engine.max_num_seqs)
        steps = simulate(in_turn(own), alone, Costs(step_s=1.0)).seconds if own else 0.0
        context = sum(prompt * n + n * (n + 1) / 2 for prompt, n in answers)
        tokens = sum(n for _, n in answers)
        found.append(np.array([steps, tokens, context, len(answers)]))
    return found


def computed(groups: Sequence[Lengths]) -> float:
    """Tokens that the learner computes of them."""
    return sum((g.prompt + n) * g.learned_share for g in groups for n in g.answers)


def non_negative_fit(
    work: np.ndarray, seconds: np.ndarray, always: int | None = None
) -> np.ndarray:
    """Costs c >= 0 with work @ c near `seconds`, in relative terms.

    Of all choices of columns the one is taken that predicts each row best from the others (leave
    one out), so that columns which explain nothing cost nothing.

    Args:
        work: [n, k], k small: every choice is tried.
        always: a column whose cost must be above 0.

    Raises:
        UserError: no choice explains the times without a negative cost.
    """
    scaled, ones = work / seconds[:, None], np.ones(len(seconds))
    best, least = None, np.inf
    columns = range(work.shape[1])
    for chosen in (x for size in columns for x in combinations(columns, size + 1)):
        if always is not None and always not in chosen:
            continue
        part = scaled[:, chosen]
        inverse = np.linalg.pinv(part)
        costs = inverse @ ones
        if (costs < 0).any() or (always is not None and costs[chosen.index(always)] <= 0):
            continue
        leverage = np.minimum(np.einsum("nk,kn->n", part, inverse), 1 - 1e-9)
        error = float((((part @ costs - 1) / (1 - leverage)) ** 2).sum())
        if error < least:
            best, least = np.zeros(work.shape[1]), error
            best[list(chosen)] = costs
    if best is None:
        raise UserError(
            "the times of these steps do not grow with what was done in them: give more steps, on "
            "an idle machine, or several runs with different groups_per_step (--costs-of RUN)"
        )
    return best


def _error(fitted: np.ndarray, seconds: np.ndarray) -> float:
    return float(np.median(np.abs(fitted / seconds - 1)))


def setup_of(recipe: Recipe, *, colocated: bool = False) -> Setup:
    return Setup(
        steps=recipe.steps,
        groups_per_step=recipe.groups_per_step,
        servers=recipe.engine.servers,
        slots=recipe.engine.max_num_seqs,
        max_staleness=recipe.max_staleness,
        straggler_s=recipe.rollout.straggler_s,
        ranks=recipe.learner.ranks,
        colocated=colocated,
    )


def measured_column(rows: Sequence[dict[str, Any]]) -> Column:
    """What a run's own metrics say, without the first steps and without evaluations."""
    counted = list(rows)[WARM_UP:]
    seconds = [sum(row["time"][phase] for phase in PHASES) for row in counted]
    idle = [
        (row["pace"]["servers_idle_fraction"], s)
        for row, s in zip(counted, seconds, strict=True)
        if "pace" in row
        and row["time"].keys() <= set(PHASES)  # no evaluation, which keeps them busy
    ]
    return Column(
        tokens_per_s=sum(row["response_tokens"]["sum"] for row in counted) / sum(seconds),
        step_s=fmean(seconds),
        servers_idle=sum(x * s for x, s in idle) / sum(s for _, s in idle) if idle else None,
        learner_idle=1 - sum(row["time"]["learn_s"] for row in counted) / sum(seconds),
        staleness_mean=(
            fmean(row["staleness_mean"] for row in counted)
            if all("staleness_mean" in row for row in counted)
            else None
        ),
        staleness_max=max(row["staleness_max"] for row in counted),
    )


def simulated_column(
    groups: Sequence[Lengths], recipe: Recipe, costs: Costs, *, colocated: bool = False
) -> Column:
    """The same figures of the schedule that the recipe makes of these lengths, in their order."""
    setup = setup_of(recipe, colocated=colocated)
    report = simulate(in_turn(groups), setup, costs).after(WARM_UP)
    return Column(
        tokens_per_s=report.tokens_per_s,
        step_s=1 / report.steps_per_s,
        servers_idle=report.servers_idle,
        learner_idle=report.learner_idle,
        staleness_mean=report.oldest_mean,
        staleness_max=report.staleness_max,
    )


def simulate_run(
    run_dir: Path, overrides: Sequence[str], costs_of: Sequence[Path], *, colocated: bool
) -> int:
    """Print a run's figures beside those of its simulation, and of one with other keys.

    Raises:
        UserError: see `read_run` and `fit`; or a key is one that the simulation knows nothing of.
    """
    for override in overrides:
        if override.partition("=")[0] not in KEYS:
            raise UserError(f"'{override}' cannot be simulated; what can be: {', '.join(KEYS)}")
    run = read_run(run_dir)
    found = fit([read_run(path) for path in costs_of] or [run])
    groups = [group for step in run.groups for group in step]
    as_it_ran = run.recipe.model_copy(update={"steps": len(run.rows)})
    columns = {
        "measured": measured_column(run.rows),
        "simulated": simulated_column(groups, as_it_ran, found.costs, colocated=colocated),
    }
    if overrides:
        # The schedule does not depend on the algorithm, but one without importance weights is
        # refused ahead of the learner.
        algorithm = run.recipe.algorithm
        without = algorithm.loss == "reinforce" and algorithm.weight_max is None
        changed = [*(["algorithm.weight_max=2"] if without else []), *overrides]
        other = load_recipe(run_dir / "recipe.yaml", changed, profile="")
        name = "simulated with " + " ".join(overrides)
        columns[name] = simulated_column(groups, other, found.costs, colocated=colocated)
    print(f"{described(found)}\n")
    print(_table(columns))
    return 0


def described(found: Fit) -> str:
    """The costs that are not 0, what each is, and how far off they are."""
    lines = [
        f"costs in seconds that explain the times of {found.steps} steps best (those not listed "
        f"are 0); they are off by {found.sample_error:.0%} of a step's sampling and "
        f"{found.learn_error:.0%} of its learning (median):"
    ]
    for name, value in found.costs._asdict().items():
        if value:
            lines.append(f"  {name:13}  {value:<9.3g}  {MEANING[name]}")
    return "\n".join(lines)


def _table(columns: dict[str, Column]) -> str:
    names = {
        "tokens_per_s": ("tokens trained on per second", ",.0f"),
        "step_s": ("seconds per step", ".3g"),
        "servers_idle": ("servers idle", ".1%"),
        "learner_idle": ("learner idle", ".1%"),
        "staleness_mean": ("staleness, mean", ".2f"),
        "staleness_max": ("staleness, largest", "d"),
    }
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for field, (label, form) in names.items():
        values = [getattr(column, field) for column in columns.values()]
        shown = ["?" if value is None else format(value, form) for value in values]
        lines.append(f"| {label} | " + " | ".join(shown) + " |")
    return "\n".join(lines)
