"""What the tests of HumanEval+ and MBPP+ use of numpy, for sandboxes, which have none."""

# Source that a test file begins with. Arguments are plain data, so that nothing is ever an array;
# unlike numpy's, these compare no number with a list.
NUMPY = """\
import math, sys, types


def _close(found, expected, rtol, atol):
    if isinstance(found, (list, tuple)) or isinstance(expected, (list, tuple)):
        same = type(found) in (list, tuple) and type(expected) in (list, tuple)
        return same and len(found) == len(expected) and all(
            _close(a, b, rtol, atol) for a, b in zip(found, expected)
        )
    if found == expected:
        return True
    return abs(found - expected) <= atol + rtol * abs(expected) < math.inf


def _allclose(found, expected, rtol=1e-5, atol=1e-8):
    return _close(found, expected, rtol, atol)


def _assert_allclose(found, expected, rtol=1e-7, atol=0):
    assert _close(found, expected, rtol, atol), f"{found!r} is not close to {expected!r}"


numpy = types.ModuleType("numpy")
numpy.ndarray = type("ndarray", (), {})
numpy.float32, numpy.float64 = type("float32", (), {}), type("float64", (), {})
numpy.allclose = numpy.isclose = _allclose
numpy.testing = types.ModuleType("numpy.testing")
numpy.testing.assert_allclose = _assert_allclose
sys.modules["numpy"], sys.modules["numpy.testing"] = numpy, numpy.testing
"""
