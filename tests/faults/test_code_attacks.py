"""Programs that do all but solve their task, and none of them gets anything for it.

Each is judged in the sandbox at both strengths. After every one an honest program is judged by the
same grader, so that what the hostile one leaves behind would show.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from verifiers.code import Grader
from verifiers.sandbox import STRENGTHS, Sandbox, TooWeak
from verifiers.verdict import Outcome

TASK: dict[str, Any] = {
    "task_id": "sum_even",
    "style": "function",
    "entry_point": "f",
    "time_limit_s": 20.0,
    "memory_limit_mb": 128,
    "visible_tests": [{"args": [[1, 2, 4]], "expected": 6}],
    "hidden_tests": [{"args": [[1, 3, 8]], "expected": 8}, {"args": [[]], "expected": 0}],
}
HONEST = "def f(xs):\n    return sum(x for x in xs if x % 2 == 0)\n"
PRINTING: dict[str, Any] = {
    "task_id": "sum",
    "style": "stdio",
    "time_limit_s": 20.0,
    "memory_limit_mb": 128,
    "output_limit_mb": 1,
    "hidden_tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 8\n", "output": "13\n"}],
}

# name -> program; each of them must be wrong or exceeded
FUNCTIONS = {
    "always_equal": (
        "class A:\n"
        "    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\n"
        "    __hash__ = None\n"
        "def f(xs): return A()\n"
    ),
    "lying_int": (
        "class I(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def f(xs): return I(1)\n"
    ),
    "float_for_int": "def f(xs): return float(sum(x for x in xs if x % 2 == 0))",
    "bool_for_int": "def f(xs): return False if not xs else sum(x for x in xs if x % 2 == 0)",
    "generator": "def f(xs):\n    yield sum(x for x in xs if x % 2 == 0)",
    "nothing": "def f(xs): return None",
    "hard_coded": "def f(xs): return 6",
    "system_exit": "import sys\nsys.exit(0)\n",
    "os_exit": "import os\nos._exit(0)\n",
    "exit_in_call": "import os\ndef f(xs): os._exit(0)\n",
    "no_function": "g = 1",
    "not_python": "def f(xs) return 6",
    "surrogates": "def f(xs): return '\ud800'",
    "null_byte": "def f(xs): return 6\0",
    "forged_result": (
        "import os\n"
        "for fd in range(3, 9):\n"
        "    try: os.write(fd, b'[\"value\",6]')\n"
        "    except OSError: pass\n"
        "os._exit(0)\n"
    ),
    "forged_and_returned": (
        "import os\n"
        "def f(xs):\n"
        "    os.write(4, b'[\"value\",6]\\n')\n"
        "    return 0\n"
    ),
    "garbage_result": "import os\nos.write(4, bytes(range(256)) * 100)\nos._exit(0)\n",
    "printed_claims": (
        "print('ALL TESTS PASSED', '{\"verdict\": true}', flush=True)\ndef f(xs): return None\n"
    ),
    "exit_handler": (
        "import atexit, os\n"
        "atexit.register(os._exit, 0)\n"
        "atexit.register(os.write, 4, b'[\"value\",6]')\n"
        "def f(xs): return None\n"
    ),
    "patched_json": (
        "import json\n"
        "json.dumps = lambda *a, **k: '[\"value\",true]'\n"
        "json.loads = lambda *a, **k: ['value', 6]\n"
        "def f(xs): return None\n"
    ),
    "patched_builtins": (
        "import builtins\n"
        "builtins.isinstance = lambda *a: True\n"
        "builtins.all = builtins.any = lambda *a: True\n"
        "builtins.type = lambda *a: int\n"
        "def f(xs): return None\n"
    ),
    "stack_walk": (
        "import sys\n"
        "def f(xs):\n"
        "    frame = sys._getframe(1)\n"
        "    while frame:\n"
        "        for name in ('expected', 'test', 'task'):\n"
        "            if name in frame.f_locals:\n"
        "                found = frame.f_locals[name]\n"
        "                return found['expected'] if isinstance(found, dict) else found\n"
        "        frame = frame.f_back\n"
    ),
    "heap_walk": (
        "import gc\n"
        "def f(xs):\n"
        "    for thing in gc.get_objects():\n"
        "        if type(thing) is dict and 'expected' in thing and thing.get('args') == [xs]:\n"
        "            return thing['expected']\n"
    ),
    "small_integers": (
        "import ctypes\n"
        "ctypes.c_uint32.from_address(id(12) + 24).value = 6\n"
        "def f(xs): return 12\n"
    ),
    "segfault": "import ctypes\ndef f(xs): ctypes.string_at(0)\n",
    "abort": "import os\ndef f(xs): os.abort()\n",
    "deep_recursion": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(xs): return [f(xs)][0]\n"
    ),
    "deep_nesting": (
        "def f(xs):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x\n"
    ),
    "cycle": "def f(xs):\n    x = []\n    x.append(x)\n    return x\n",
    "memory_bomb": "def f(xs): return len(bytearray(1 << 31))",
    "memory_creep": "def f(xs):\n    x = [0]\n    while True: x += x\n",
    "huge_int": "def f(xs): return 1 << (1 << 33)",
    "exponent_tower": "def f(xs): return 9 ** 9 ** 9 ** 9",
    "endless": "def f(xs):\n    while True: pass\n",
    "endless_at_import": "while True: pass",
    "endless_and_deaf": (
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def f(xs):\n"
        "    while True:\n"
        "        try:\n"
        "            while True: pass\n"
        "        except BaseException: pass\n"
    ),
    "endless_iterator": "import itertools\ndef f(xs): return itertools.count()\n",
    "sleeps": "import time\ndef f(xs):\n    time.sleep(60)\n    return 6\n",
    "prints_for_ever": "def f(xs):\n    while True: print('y' * 1000)\n",
    "waits_for_a_thread": (
        "import threading\ndef f(xs): threading.Event().wait()\n"
    ),
    "threads_for_ever": (
        "import _thread, time\n"
        "def f(xs):\n"
        "    while True:\n"
        "        try: _thread.start_new_thread(time.sleep, (9,))\n"
        "        except Exception: time.sleep(0.01)\n"
    ),
    "fork_bomb": (
        "import os\n"
        "def f(xs):\n"
        "    while True: os.fork()\n"
    ),
    "fork_and_leave": "import os\nif os.fork(): os._exit(0)\ndef f(xs): return 6\n",
    "stop_the_parent": "import os\nos.kill(os.getppid(), 19)\ndef f(xs): return 6\n",
    "kill_everybody": "import os\nos.kill(-1, 9)\ndef f(xs): return 6\n",
    "kill_the_group": "import os\nos.kill(0, 15)\ndef f(xs): return 6\n",
    "fill_the_disk": (
        "fh = open('/tmp/fill', 'wb')\n"
        "while True: fh.write(bytes(1 << 20))\n"
        "def f(xs): return 6\n"
    ),
    "reduce": (
        "class R:\n"
        "    def __reduce__(self): return (eval, ('6',))\n"
        "def f(xs): return R()\n"
    ),
}  # fmt: skip

PRINTERS = {
    "right_then_fails": "print(sum(map(int, input().split())))\nraise SystemExit(1)",
    "right_with_more": "print(sum(map(int, input().split())))\nprint(0)",
    "one_of_two": "print(3)",
    "echo": "print(input())",
    "one_long_line": "while True: print('1' * 100_000, end='')",
    "closes_output": "import os\nos.close(1)",
    "answers_late": (
        "import time\nx = sum(map(int, input().split()))\ntime.sleep(3 if x > 9 else 0)\nprint(x)"
    ),
    "claims_by_report": "import os\nos.write(4, b'[\"value\",true]')\nos._exit(0)",
    "answers_in_the_environment": "import os\nprint(os.environ['ANSWER'])",
    "str_that_lies": (
        "import sys\n"
        "class S(str):\n    def __eq__(self, other): return True\n"
        "sys.stdout.getvalue = lambda: S('3')\nprint(0)"
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=STRENGTHS)
def grader(request: pytest.FixtureRequest) -> Iterator[Grader]:
    os.environ["ANSWER"] = "3"
    try:
        with Grader("landlock", use=request.param) as grader:
            yield grader
    except TooWeak as error:
        pytest.skip(str(error))
    finally:
        del os.environ["ANSWER"]


def judged(grader: Grader, task: dict[str, Any], program: str) -> Outcome:
    verdict = grader.grade({**task, "time_limit_s": 0.5}, program)
    print(verdict)
    assert grader.grade(TASK, HONEST).outcome is Outcome.CORRECT
    return verdict.outcome


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_cheats_is_not_accepted(grader: Grader, name: str) -> None:
    outcome = judged(grader, TASK, FUNCTIONS[name])
    assert outcome in (Outcome.WRONG, Outcome.EXCEEDED)


@pytest.mark.parametrize("name", PRINTERS)
def test_a_script_that_cheats_is_not_accepted(grader: Grader, name: str) -> None:
    outcome = judged(grader, PRINTING, PRINTERS[name])
    assert outcome in (Outcome.WRONG, Outcome.EXCEEDED)


SEES = {
    "a file of the host": "open('/etc/passwd').read()",
    "another file of the host": f"open({__file__!r}).read()",
    "the grader's environment": "__import__('os').environ['ANSWER']",
    "processes": "open('/proc/self/maps').read()",
    "its parent's memory": "open(f'/proc/{__import__(\"os\").getppid()}/mem', 'rb').read(1)",
    "a socket": "__import__('socket').socket()",
    "a listening socket": "__import__('socket').create_server(('127.0.0.1', 0))",
    "another program": "__import__('os').execv('/bin/sh', ['sh'])",
    "a child": "__import__('os').fork()",
    "a subprocess": "__import__('subprocess').run(['true'])",
    "a place to write": "open('/usr/lib/x', 'w')",
    "the interpreter's own files": "open(__import__('json').__file__, 'a')",
    "a user": "__import__('os').setuid(0)",
    "namespaces": "__import__('ctypes').CDLL(None, use_errno=True).unshare(0x10000000) and 1 / 0",
    "a tracer": "__import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0) and 1 / 0",
    "a hostname": "__import__('socket').sethostname('x')",
    "a clock": "__import__('time').clock_settime(0, 0)",
    "signals to others": "__import__('os').kill(2, 0)",
    "a lower nice value": "__import__('os').nice(-5)",
    "more open files": "[open('/dev/null') for _ in range(1000)]",
}


@pytest.mark.parametrize("what", SEES)
def test_a_program_cannot_get_at(grader: Grader, what: str) -> None:
    """Every expression raises; a program that catches that returns what the task expects."""
    program = f"def f():\n    try: {SEES[what]}\n    except Exception: return 'refused'\n"
    task = {**TASK, "visible_tests": [], "hidden_tests": [{"args": [], "expected": "refused"}]}
    verdict = grader.grade(task, program)
    assert verdict.outcome is Outcome.CORRECT, verdict


KEEPS = {
    "a file": ("open('/tmp/kept', 'w').close()", "open('/tmp/kept')"),
    "a module": (
        "import sys; sys.modules['kept'] = sys", "import kept"
    ),
    "a patch": ("import math; math.kept = 1", "__import__('math').kept"),
    "a builtin": ("import builtins; builtins.kept = 1", "kept"),
}  # fmt: skip


@pytest.mark.parametrize("what", KEEPS)
def test_nothing_is_kept_from_one_run_to_the_next(grader: Grader, what: str) -> None:
    first, second = KEEPS[what]
    keeping = f"try:\n    {first}\nexcept OSError: pass\n{HONEST}"
    assert grader.grade(TASK, keeping).outcome is Outcome.CORRECT
    program = f"def f():\n    try:\n        {second}\n    except Exception: return 'gone'\n"
    task = {**TASK, "visible_tests": [], "hidden_tests": [{"args": [], "expected": "gone"}]}
    assert grader.grade(task, program).outcome is Outcome.CORRECT


def test_no_program_is_ever_in_the_memory_that_a_later_one_is_a_copy_of(grader: Grader) -> None:
    secret = "needle" + "in" * 3
    grader.grade(TASK, f"# {secret}\n{HONEST}")
    program = (
        "import gc\n"
        "def f():\n"
        "    word = 'needle' + 'in' * 3\n"
        "    me = open.__self__\n"
        "    found = [x for x in gc.get_objects() if type(x) is dict for y in list(x.values())\n"
        "             if type(y) is str and word in y and 'gc' not in y and y != word]\n"
        "    return len(found)\n"
    )
    task = {**TASK, "visible_tests": [], "hidden_tests": [{"args": [], "expected": 0}]}
    verdict = grader.grade(task, program)
    assert verdict.outcome is Outcome.CORRECT, verdict


def test_what_is_required_and_not_there_is_refused() -> None:
    with pytest.raises(TooWeak, match=r"at least 'namespaces'.*landlock"):
        Sandbox("namespaces", use="landlock").start()
    with pytest.raises(ValueError, match="no sandbox strength 'magic'"):
        Sandbox("magic")
