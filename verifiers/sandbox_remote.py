"""Programs run by a sandbox server, `assay sandbox`, in place of a sandbox on this machine.

with open_sandbox("namespaces", url="http://10.0.0.7:8900") as sandbox:
    ran = sandbox.run({"do": "print", "program": text, "input": "1 2\\n"}, Limits(wall_s=2.0))
"""

import json
import socket
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

from verifiers import sandbox_wire as wire
from verifiers.sandbox import Ran, Sandbox, SandboxError, TooWeak, check_strength, is_enough, prove
from verifiers.sandbox_confine import Limits

CONNECT_S = 3.0
ABOUT_S = 10.0  # for the server to say what it is; it may be on a busy machine
ANSWER_S = 3.0  # beyond a program's own time and its wait for a free sandbox
MOST_OTHER_BYTES = 1 << 16  # of an answer that brings no program's output


class RemoteSandbox:
    """The same face as Sandbox; whoever uses it need not know which of them it is.

    `strength` is what the server says it has in force, as `remote-namespaces`. Every answer says it
    again: a server that comes back weaker is noticed. Used by one thread at a time.

    Raises:
        ValueError: no such strength, the URL is none, or a token that cannot be sent.
        SandboxError (on entering): no server answers there, or it refuses the token.
        TooWeak (on entering): its programs are confined less than required.
    """

    def __init__(self, url: str, require: str = "namespaces") -> None:
        check_strength(require)
        check_url(url)
        self._url, self._require, self._token = url.rstrip("/"), require, wire.token()
        self._found = ""  # strength at the server; empty while this is stopped
        self._most_request_bytes = 0
        self.strength = ""
        self.description = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return bool(self._found)

    def start(self) -> None:
        """Ask the server what it is, and have it run a first program."""
        about = self._ask("GET", "/about", None, MOST_OTHER_BYTES, ABOUT_S)
        found, described = about.get("strength"), about.get("description")
        most = about.get("most_request_bytes")
        if about.get("protocol") != wire.PROTOCOL or not isinstance(most, int):
            raise SandboxError(
                f"{self._url} is no sandbox server of this version: it said {about!r:.300}; start "
                "`assay sandbox` there from the same version as here"
            )
        if not is_enough(found, self._require):
            raise TooWeak(
                f"programs need a sandbox of at least '{self._require}', and the server "
                f"{self._url} gives {described!r:.300}: have it run where it is stronger, or ask "
                "for less"
            )
        self._found, self._most_request_bytes = found, most
        try:
            prove(self)
        except SandboxError:
            self.stop()
            raise
        self.strength = f"remote-{found}"
        self.description = f"remote-{described} at {self._url}"

    def stop(self) -> None:
        """Nothing of it is left here; what runs at the server ends at its own deadline."""
        self._found = ""

    def run(self, request: dict[str, Any], limits: Limits) -> Ran:
        """Run one program at the server; see `run_together`."""
        return self.run_together([(request, limits)])[0]

    def run_together(self, jobs: Sequence[wire.Job]) -> list[Ran]:
        """Run programs at the same time, each in a sandbox of its own; two are joined by a socket
        pair.

        Waits for the server's answer: as long as a program may take, and QUEUE_S and ANSWER_S.

        Raises:
            SandboxError: the server failed or is out of reach, or takes no such jobs.
        """
        if not self.running:
            raise SandboxError("it is not running")
        try:
            body = wire.write_jobs(jobs)
            if len(body) > self._most_request_bytes:
                raise SandboxError(
                    f"a request of {len(body):,} bytes, and the sandbox server {self._url} takes "
                    f"at most {self._most_request_bytes:,}: start it with a larger --output-mib, "
                    "or give programs less"
                )
            patience_s = max(limits.wall_s for _, limits in jobs) + wire.QUEUE_S + ANSWER_S
            most = wire.most_answer_bytes(jobs) + MOST_OTHER_BYTES
            answer = self._ask("POST", "/run", body, most, patience_s)
            return self._read(answer, len(jobs))
        except BaseException:
            self.stop()
            raise

    def _read(self, answer: dict[str, Any], n_jobs: int) -> list[Ran]:
        if answer.get("strength") != self._found:
            raise SandboxError(
                f"the sandbox server {self._url} gave '{self._found}' at first and "
                f"'{answer.get('strength')}' now"
            )
        try:
            ran = wire.read_ran(answer["ran"])
        except (KeyError, TypeError, ValueError) as error:
            raise SandboxError(
                f"the sandbox server {self._url} sent no proper answer: {error!r:.200}"
            ) from error
        if len(ran) != n_jobs:
            raise SandboxError(f"{self._url} sent {len(ran)} results for {n_jobs} programs")
        return ran

    def _ask(
        self, method: str, path: str, body: bytes | None, most_bytes: int, patience_s: float
    ) -> dict[str, Any]:
        """One request on a connection of its own, so that none is stale."""
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_S)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.connect()
            sock, end = connection.sock, time.monotonic() + patience_s
            sock.settimeout(patience_s)
            connection.request(method, parts.path + path, body, headers)
            response = connection.getresponse()
            data = _receive(response, sock, most_bytes, end)
        except TimeoutError:
            raise SandboxError(
                f"the sandbox server {self._url} did not answer within {patience_s:g} s"
            ) from None
        except (OSError, HTTPException) as error:
            raise SandboxError(
                f"the sandbox server {self._url} cannot be reached, or went away: "
                f"{type(error).__name__}: {error}; is `assay sandbox` running there?"
            ) from error
        finally:
            connection.close()
        return self._checked(response, data)

    def _checked(self, response: HTTPResponse, data: bytes) -> dict[str, Any]:
        """What a good answer says; raises with what a bad one says."""
        try:
            answer = json.loads(data)
            error = str(answer["error"]) if response.status != 200 else ""
        except (ValueError, TypeError, KeyError, RecursionError):
            error, answer = f"{response.reason}: {data[:200]!r}", None
        if response.status != 200 or not isinstance(answer, dict):
            raise SandboxError(f"the sandbox server {self._url} says {response.status}: {error}")
        return answer


def _receive(response: HTTPResponse, sock: socket.socket, most_bytes: int, end: float) -> bytes:
    """The body of an answer, by the time `end`.

    Raises:
        OSError: it did not arrive in full. HTTPException: it is too long.
    """
    data = bytearray()
    while len(data) <= most_bytes and (chunk := response.read1(1 << 20)):
        data += chunk
        sock.settimeout(max(0.001, end - time.monotonic()))
    if len(data) > most_bytes:
        raise HTTPException(f"it answered with more than {most_bytes:,} bytes")
    announced = response.getheader("Content-Length", "no")
    if str(len(data)) != announced:
        raise ConnectionError(f"{len(data):,} bytes arrived, {announced} were announced")
    return bytes(data)


def check_url(url: str) -> None:
    """Raises ValueError where it cannot be that of a sandbox server."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        good = good and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            f"'{url}' is no URL of a sandbox server; it looks like http://10.0.0.7:8900 "
            f"(its token is read from {wire.TOKEN})"
        )


AnySandbox = Sandbox | RemoteSandbox


def open_sandbox(require: str, *, url: str | None = None, use: str | None = None) -> AnySandbox:
    """A sandbox on this machine, or with `url` one at a server; not yet started.

    use: see Sandbox.
    """
    return Sandbox(require, use=use) if url is None else RemoteSandbox(url, require)
