"""The rules of the schedule: which batch may begin, who may wait, where an answer is sampled.

The loop (rl/ahead.py, rl/rollouts.py, rl/engine.py) and its simulator (rl/simulate.py) both go by
them.
"""

BASELINE = 2  # answers to a task that tell better from worse


def last_admitted(step: int, max_staleness: int, steps: int) -> int:
    """The last batch that may be under way while the learner has yet to make step `step`."""
    return min(steps, step + max_staleness)


def baseline_size(group_size: int) -> int:
    """Answers to each task without which a step does not begin, however late the others are."""
    return min(BASELINE, group_size)


def server_of(index: int, servers: int) -> int:
    """The server that samples the answers to task `index` of a batch: the same in every run."""
    return index % servers
