"""For every test of what breaks."""

import pytest

from tests.faults import processes


@pytest.fixture(autouse=True)
def _only_the_processes_of_this_test() -> None:
    processes.leave_out_those_there_are()
