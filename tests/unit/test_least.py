"""The search behind the fits of curves."""

import numpy as np
import pytest

from rl.least import least


def test_the_least_of_a_narrow_diagonal_valley_is_found() -> None:
    """Its floor rises a twentieth as fast as its sides."""

    def error(cells: np.ndarray) -> np.ndarray:
        x, y = cells[..., 0], cells[..., 1]
        return (x + y - 2) ** 2 + 400 * (x - y) ** 2

    assert least(error, (-3, -2.7), (3, 3), (21, 21)) == pytest.approx(np.ones((1, 2)), abs=1e-3)


def test_each_copy_has_its_own_least_and_none_lies_outside() -> None:
    targets = np.array([[0.3], [2.7], [9.0]])
    found = least(lambda cells: (cells[..., 0] - targets) ** 2, (0,), (4,), (9,))
    assert found == pytest.approx(np.array([[0.3], [2.7], [4.0]]), abs=1e-4)


def test_the_deeper_of_two_valleys_is_found_and_a_range_of_one_number_stays() -> None:
    def error(cells: np.ndarray) -> np.ndarray:
        x, y = cells[..., 0], cells[..., 1]
        return np.minimum((x + 2) ** 2 + 0.1, 5 * (x - 2) ** 2) + y

    assert least(error, (-4, 1), (4, 1), (41, 1)) == pytest.approx(np.array([[2.0, 1.0]]), abs=1e-4)
