"""The rules of the schedule: which batch may begin, who may wait, where an answer is sampled.

The loop (ahead.py, rollouts.py, engine.py) and its simulator (rl/simulator/simulate.py) both go by
them.
"""

BASELINE = 2  # answers to a task that tell better from worse


def last_admitted(step: int, max_staleness: int, steps: int) -> int:
    """The last batch that may be under way while the learner has yet to make step `step`."""
    return min(steps, step + max_staleness)


def baseline_size(group_size: int) -> int:
    """Answers to each task without which a step does not begin, however late the others are."""
    return min(BASELINE, group_size)


def server_of(dealt: int, servers: int) -> int:
    """The server of what is dealt out as number `dealt` of a batch: the same in every run.

    Dealt out are whole groups, or where sampling runs ahead of the learner single answers: then a
    batch of 128 groups can keep more than 128 servers busy.
    """
    return dealt % servers
