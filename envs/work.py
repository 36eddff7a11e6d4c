"""How much work a call takes, in measures that a busy machine does not change much."""

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python a call runs, with the calls and returns between them."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def cpu_s(work: Callable[[], object]) -> float:
    """Processor seconds of this thread for a call."""
    start = time.thread_time()
    work()
    return time.thread_time() - start
