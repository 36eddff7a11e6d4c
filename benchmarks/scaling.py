"""What to expect from 8 to 4,096 accelerators: the tables of docs/accelerators.md.

python -m benchmarks.scaling [all | sizes | ahead | changes]
Nothing is measured: the schedule is simulated (rl/simulator/simulate.py) under the assumptions
below. Those with a source are explained in docs/accelerators.md.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rl.simulator.lengths import Source, lognormal
from rl.simulator.rules import Setup
from rl.simulator.server import Costs
from rl.simulator.simulate import Report, simulate

ACCELERATORS = (8, 64, 256, 1024, 4096)
AHEAD = (0, 1, 4)  # max_staleness
MEAN_TOKENS = 8192  # of an answer
SIGMA = {32768: 0.8, 131072: 1.4}  # of the logarithm, by the longest answer
PROMPT_TOKENS = 512
GROUPS, GROUP_SIZE = 128, 16

# A dense model of the shape of Qwen2.5-7B, in bfloat16.
PARAMETERS = 7.6e9
WEIGHT_BYTES = 2 * PARAMETERS
KV_BYTES = 2 * 28 * 4 * 128 * 2  # per token: keys and values, layers, heads, dimensions, bytes

# An accelerator like the H100 SXM.
MEMORY_BYTES = 80e9
BYTES_PER_S = 3.35e12
FLOPS_PER_S = 989e12
NETWORK_BYTES_PER_S = 50e9

USED_MEMORY = 0.9
USED_BANDWIDTH = 0.7
USED_FLOPS = 0.5  # of a forward pass
USED_NETWORK = 0.8
ACTIVATION_BYTES = 4e9
LEARNED_TOKENS_PER_S = 7500  # by one accelerator
SEQUENCE_PARALLEL = 4  # ranks that can share one sequence
VERIFY_S = 1.0
PUBLISH_S, PAUSE_S = 2.0, 1.0


Lines = Iterator[str]


class Case(NamedTuple):
    accelerators: int
    max_staleness: int
    longest: int
    groups: int = GROUPS


def costs() -> Costs:
    forward_s = 2 * PARAMETERS / (FLOPS_PER_S * USED_FLOPS)  # 2 operations per weight and token
    bandwidth = BYTES_PER_S * USED_BANDWIDTH
    # Sharded states: gradients are reduced in float32, updated weights gathered in bfloat16.
    exchanged = (4 + 2) * PARAMETERS / (NETWORK_BYTES_PER_S * USED_NETWORK)
    return Costs(
        step_s=WEIGHT_BYTES / bandwidth,
        answer_s=forward_s,
        context_s=KV_BYTES / bandwidth,
        prefill_s=forward_s,
        verify_s=VERIFY_S,
        learn_step_s=exchanged,
        learn_token_s=1 / LEARNED_TOKENS_PER_S,
        publish_s=PUBLISH_S,
        pause_s=PAUSE_S,
    )


def lengths(longest: int) -> Source:
    return lognormal(MEAN_TOKENS, longest, SIGMA[longest], GROUP_SIZE, prompt=PROMPT_TOKENS)


def context_in_flight(source: Source) -> float:
    """Mean tokens that an answer under way holds, when seen at any time of its life."""
    drawn = [n for index in range(200) for n in source(index).answers]
    return PROMPT_TOKENS + sum(n * n for n in drawn) / (2 * sum(drawn))


def slots(context: float) -> int:
    """Answers in flight whose keys and values fit into a server, in steps of 8."""
    room = MEMORY_BYTES * USED_MEMORY - WEIGHT_BYTES - ACTIVATION_BYTES
    return max(8, int(room / KV_BYTES / context) // 8 * 8)


def setup_of(case: Case, source: Source) -> Setup:
    """Servers and ranks in turns on all accelerators; or beside each other, in the proportion in
    which neither waits for the other if answers never ran out."""
    context = context_in_flight(source)
    most, n = slots(context), case.accelerators
    if case.max_staleness == 0:
        servers, ranks = n, n
    else:
        servers = min(range(1, n), key=lambda x: _slower_s(x, case, most, context))
        ranks = n - servers
    return Setup(
        steps=6 + 2 * case.max_staleness,
        groups_per_step=case.groups,
        servers=servers,
        slots=most,
        max_staleness=case.max_staleness,
        ranks=ranks,
        rank_efficiency=rank_efficiency(ranks, case),
        colocated=case.max_staleness == 0,
    )


def rank_efficiency(ranks: int, case: Case) -> float:
    """Ranks cannot be busier than those that learn from the longest answer."""
    tokens = case.groups * GROUP_SIZE * (MEAN_TOKENS + PROMPT_TOKENS) / ranks
    return min(1.0, tokens * SEQUENCE_PARALLEL / (case.longest + PROMPT_TOKENS))


def _slower_s(servers: int, case: Case, most: int, context: float) -> float:
    """Seconds per step of whichever is slower, the servers or the learner; a rough sum."""
    its, answers = costs(), case.groups * GROUP_SIZE
    in_flight = min(most, answers * (1 + case.max_staleness) / servers)
    tokens_per_s = in_flight / (its.step_s + in_flight * (its.answer_s + its.context_s * context))
    recomputed_s = in_flight * context * its.prefill_s  # at the update of every step
    sampling = answers * MEAN_TOKENS / (servers * tokens_per_s) + recomputed_s
    ranks = case.accelerators - servers
    busy = ranks * rank_efficiency(ranks, case)
    learning = answers * (MEAN_TOKENS + PROMPT_TOKENS) * its.learn_token_s / busy
    return max(sampling, its.learn_step_s + learning + its.publish_s)


def simulated(case: Case, **changes: str) -> tuple[Setup, Report]:
    """Without the steps in which the batches under way are not yet, or no longer, all there."""
    source = lengths(case.longest)
    setup = setup_of(case, source)._replace(**changes)
    ahead = case.max_staleness
    return setup, simulate(source, setup, costs()).after(ahead + 1, wind_down=ahead)


def sizes(accelerators: Sequence[int] = ACCELERATORS, ahead: Sequence[int] = AHEAD) -> Lines:
    """Tokens per second by accelerators and max_staleness."""
    for longest in SIGMA:
        context = context_in_flight(lengths(longest))
        yield (
            f"Answers of at most {longest:,} tokens (sigma {SIGMA[longest]}): {slots(context)} "
            f"places per server, {context:,.0f} tokens of context in each."
        )
        yield ""
        yield from heading(
            "accelerators", "max_staleness", "servers + ranks", "s per step", "tokens/s",
            "tokens/s each", "servers idle", "learner idle", "staleness",
        )  # fmt: skip
        for count in accelerators:
            for each in ahead:
                yield row(f"{count:,}", str(each), *figures(Case(count, each, longest)))
        yield ""


def figures(case: Case, **changes: str) -> Lines:
    setup, found = simulated(case, **changes)
    yield f"{setup.servers:,} + {setup.ranks:,}" if case.max_staleness else "in turns"
    yield three(1 / found.steps_per_s)
    yield three(found.tokens_per_s)
    yield three(found.tokens_per_s / case.accelerators)
    for idle in (found.servers_idle, found.learner_idle):
        yield f"{abs(idle):.0%}"  # rounding can leave -0
    yield f"{found.staleness_mean:.1f}"


def ahead(values: Sequence[int] = (1, 2, 4, 8, 16)) -> Lines:
    """How far to run ahead: 64 accelerators, answers of at most 32,768 tokens."""
    names = ("max_staleness", "s per step", "tokens/s each", "servers idle", "staleness")
    yield from heading(*names)
    for value in values:
        _, step_s, _, each, idle, _, staleness = figures(Case(64, value, 32768))
        yield row(str(value), step_s, each, idle, staleness)
    yield ""


def changes(accelerators: Sequence[int] = (64, 1024)) -> Lines:
    """What one decision changes, at max_staleness 4 and 32,768 tokens: tokens/s each."""
    variants: dict[str, tuple[int, dict[str, str]]] = {
        "as it is": (GROUPS, {}),
        "groups dealt out to the servers, not answers": (GROUPS, {"spread": "groups"}),
        "an update keeps old keys and values": (GROUPS, {"update": "reuse"}),
        "an update waits for the answers under way": (GROUPS, {"update": "wait"}),
        "batches four times as large": (4 * GROUPS, {}),
    }
    yield from heading("", *(f"{count:,} accelerators" for count in accelerators))
    for name, (groups, changed) in variants.items():
        found = [list(figures(Case(n, 4, 32768, groups), **changed))[3] for n in accelerators]
        yield row(name, *found)
    yield ""


def heading(*names: str) -> Lines:
    yield row(*names)
    yield "|" + "---:|" * len(names)


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def three(value: float) -> str:
    """Rounded to three digits."""
    digits = 2 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(0, digits)}f}"


TABLES = {"sizes": sizes, "ahead": ahead, "changes": changes}


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("table", nargs="?", choices=["all", *TABLES], default="all")
    chosen = parser.parse_args().table
    for name, lines in TABLES.items():
        if chosen in ("all", name):
            print(f"{lines.__doc__}\n")
            for line in lines():
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
