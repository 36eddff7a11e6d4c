"""Which files an environment opens while it is loaded and while its tasks are drawn and solved.

python -m envs.opened REQUEST.json REPLY.json

That is seen by a hook of the interpreter which cannot be taken out again and sees nothing of what
was loaded before it: hence a process of its own. What compiled libraries open by themselves does
not pass through the hook.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from envs.attack import draw_tasks, effort_for
from envs.base import Env, EnvError, Task
from envs.registry import find_class, make_env
from envs.sources import ROOT, find_homes, is_own, source_files

DEADLINE_S = 900.0  # for drawing and solving what an attack needs, data read anew
JUDGING_S = 30
MEMORY_BYTES = 2 << 30  # for judging
JUDGED = 3  # solutions: what only `verify` opens
SYSTEM = [Path("/", name) for name in ("dev", "etc", "proc", "run", "sys", "usr/share/zoneinfo")]
CACHE = ".cache"  # of libraries: what they keep of the hub, which is known by its name
OURS = ("envs", "rl", "verifiers")  # their modules are in the record's name, or decide nothing
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def opened_files(name: str, options: Mapping[str, Any]) -> list[Path]:
    """The files, apart from source_files, that decide what the environment does.

    Raises:
        EnvError: it cannot draw or solve its tasks, or does not come to an end.
    """
    with tempfile.TemporaryDirectory(prefix="assay-opened-") as folder:
        request, reply = Path(folder, "request.json"), Path(folder, "reply.json")
        request.write_text(json.dumps({"name": name, "options": dict(options)}), encoding="utf-8")
        path = os.pathsep.join([str(ROOT), *(os.path.abspath(entry) for entry in sys.path)])
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "envs.opened", str(request), str(reply)],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EnvError(
                f"drawing and solving its tasks takes more than {DEADLINE_S:g} s"
            ) from error
        if not reply.is_file():
            said = ended.stderr.decode(errors="replace").strip()[-500:]
            raise EnvError(f"the process that draws its tasks ended ({ended.returncode}): {said}")
        found = json.loads(reply.read_text(encoding="utf-8"))
    if "error" in found:
        raise EnvError(found["error"])
    return list(_that_decide(map(Path, found["opened"]), name))


def _that_decide(files: Iterable[Path], name: str) -> Iterator[Path]:
    env_class = find_class(name)
    known, homes = set(source_files(env_class)), find_homes(env_class)
    for file in sorted({path.resolve() for path in files}):
        suite = file.suffix == ".py" and any(file.is_relative_to(ROOT / name) for name in OURS)
        system = CACHE in file.parts or any(file.is_relative_to(folder) for folder in SYSTEM)
        if file.is_file() and is_own(file, homes) and not (file in known or suite or system):
            yield file


def main(request: str, reply: str) -> None:
    """Draw, solve and judge; write down what was opened for reading and not for writing."""
    read, written = set[str](), set[str]()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            (written if arguments[2] & WRITING else read).add(path)

    def write() -> None:
        opened = sorted(map(_source_of, read - written))
        Path(reply).write_text(json.dumps({"opened": opened}), encoding="utf-8")

    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    sys.addaudithook(note)
    try:
        env = make_env(asked["name"], asked["options"])
        drawn = draw_tasks(env, effort_for(env).solved)
    except EnvError as error:
        Path(reply).write_text(json.dumps({"error": str(error)}), encoding="utf-8")
        return
    write()
    _judge(env, list(zip(*drawn, strict=True))[:JUDGED], write)


def _judge(env: Env, solved: list[tuple[Task, str]], write: Callable[[], None]) -> None:
    """Judge solutions, and write down after each what was opened by then.

    A verifier that hangs ends this process, and one that eats memory gets no more: it is the attack
    that says so, with limits of its own.
    """
    signal.alarm(JUDGING_S)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, hard))
    try:
        env.prepare()
        for task, solution in solved:
            env.verify(task, solution)
            write()
    except Exception as error:  # the attack counts it; here it must not hide what was opened
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


def _source_of(path: str) -> str:
    """A module that is loaded by its name, not by an import, is opened compiled."""
    return source_from_cache(path) if path.endswith(".pyc") and "__pycache__" in path else path


if __name__ == "__main__":
    main(*sys.argv[1:])
