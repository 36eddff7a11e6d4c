"""`assay watch RUN`: a run in the terminal, until it ends."""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from rl.progress import printable
from rl.report.follow import Follower, how_it_ended
from rl.report.frame import View, frame
from rl.report.read import read_run

LOOK_EVERY_S = 1.0  # at the files; a key is answered at once
ESCAPES = {"\x1b[A": "k", "\x1b[B": "j", "\x1b[C": "v"}  # arrows, as the keys they stand for


def watch(path: Path, console: Console | None = None) -> int:
    """Show the run until it ends or `q` or Ctrl-C is pressed; the run itself is left alone.

    Waits for the run, without a deadline of its own: a run ends by its own ones. Where the output
    is no terminal, one picture is printed.

    Raises:
        UserError: this is no run directory, or a file of it is damaged.
    """
    console = console or Console(highlight=False)
    steps = read_run(path).steps
    follower = Follower(path)
    view = View(path.resolve().name, steps, follower)

    def look() -> None:
        view.ended = how_it_ended(path)  # first: what it wrote until then is all there is
        follower.look()

    look()
    if not console.is_terminal:
        console.print(frame(view, console.width, None))
        return 0
    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as keys,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while view.ended is None:
            live.update(frame(view, console.width, console.height), refresh=True)
            if not _answer(keys, view):
                break
            look()
    console.print(frame(view, console.width, None))
    console.print(printable(f"{path}: {view.ended or 'goes on'}"), markup=False)
    return 0


def _answer(keys: int | None, view: View) -> bool:
    """Wait for a key, at most LOOK_EVERY_S, and do what it says; False: that was enough."""
    ready, _, _ = select.select([] if keys is None else [keys], [], [], LOOK_EVERY_S)
    if not ready or keys is None:
        return True
    typed = os.read(keys, 16).decode("ascii", "replace")
    if not typed:  # the terminal is gone
        return False
    key = ESCAPES.get(typed, typed[0])
    if key == "q":
        return False
    view.press(key)
    return True


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """The terminal's input, key by key; None where there is none. It is left as it was."""
    if not sys.stdin.isatty():
        yield None
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield number
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
