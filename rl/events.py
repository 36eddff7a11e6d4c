"""What the loop tells the supervisor: JSON lines on a pipe of their own.

`wait`   what is being waited for, and by when; the supervisor stops the run at the deadline
`step`   the numbers of one step, for the progress line
`forecast` the score after the last step, as seen from an evaluation, for the progress line
`say`    a line that must be seen
`warn`   a line that must be seen, loudly: something goes wrong
`item`   one answer of `assay doctor`: what was checked, whether it is well, detail
`done`   the run is complete; the summary
`failed` the run cannot go on; a complete message for the user
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["wait", "step", "forecast", "say", "warn", "item", "done", "failed"]
EVENTS_VARIABLE = "ASSAY_EVENTS_FD"


class Events:
    """The writing end, in the loop's process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def from_environment(cls) -> "Events":
        return cls(int(os.environ[EVENTS_VARIABLE]))

    def wait(self, reason: str, deadline_s: float) -> None:
        """From now on the loop waits for `reason`, at most `deadline_s` seconds."""
        self._send("wait", reason=reason, deadline_s=deadline_s)

    def step(self, numbers: dict[str, Any]) -> None:
        self._send("step", **numbers)

    def forecast(self, numbers: dict[str, Any]) -> None:
        self._send("forecast", **numbers)

    def say(self, text: str) -> None:
        self._send("say", text=text)

    def warn(self, text: str) -> None:
        self._send("warn", text=text)

    def item(self, what: str, ok: bool, detail: str) -> None:
        self._send("item", what=what, ok=ok, detail=detail)

    def done(self, summary: dict[str, Any]) -> None:
        self._send("done", summary=summary)

    def failed(self, message: str) -> None:
        self._send("failed", message=message)

    def _send(self, kind: Kind, **content: Any) -> None:
        line = (json.dumps({"kind": kind, **content}) + "\n").encode()
        while line:  # a signal can cut a long write short
            line = line[os.write(self._fd, line) :]


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    content: dict[str, Any]


class EventReader:
    """The reading end, in the supervisor: never blocks."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._rest = b""

    def read(self) -> list[Event]:
        while True:
            try:
                chunk = os.read(self._fd, 65536)
            except BlockingIOError:
                break
            if not chunk:
                break
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        events = []
        for line in lines:
            content = json.loads(line)
            events.append(Event(content.pop("kind"), content))
        return events
