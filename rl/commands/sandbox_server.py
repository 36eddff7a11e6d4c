"""`assay sandbox`: runs programs for graders on other machines, in sandboxes of this one.

It is told a program and what that is given, and sends back what came out, as data: what is right is
not known here. Every sandbox is used by one request at a time; requests wait in a bounded queue.
What clients and server say to each other: verifiers/sandbox_wire.py.
"""

import asyncio
import hmac
import ipaddress
import json
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from aiohttp import web

from rl.errors import UserError
from verifiers import sandbox_wire as wire
from verifiers.sandbox import Sandbox, SandboxError, TooWeak
from verifiers.sandbox_confine import Limits

# What a program may be given: as much as a task can ask for, but for memory and output, which are
# the operator's to change.
MOST = Limits(
    wall_s=320.0, memory_mib=4096, output_bytes=16 << 20, tmp_mib=256, threads=256, open_files=256
)
QUEUE_PER_SANDBOX = 8  # requests that may wait
REQUEST_PER_OUTPUT = 8  # a request may hold one program's output, each byte as up to six: \u0000
READ_S = 30.0  # for a request to arrive in full


def serve(
    host: str,
    port: int,
    *,
    n_sandboxes: int | None = None,
    require: str = "namespaces",
    most: Limits = MOST,
    use: str | None = None,
) -> None:
    """Serve until interrupted; programs under way come to their end first.

    port: 0 for any that is free; the line that is printed when it is ready names it.
    n_sandboxes: programs that run at the same time; by default one per core.
    require, use: see Sandbox.

    Raises:
        UserError: no token for others than this machine, the address is taken, the sandbox is too
            weak, or programs would be given less than some need.
    """
    token = _token(host)
    _check_enough(most)
    n_sandboxes = n_sandboxes or len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(host, port))
        try:
            sandboxes = [stack.enter_context(Sandbox(require, use=use)) for _ in range(n_sandboxes)]
        except TooWeak as error:
            raise UserError(str(error)) from error
        threads = stack.enter_context(ThreadPoolExecutor(n_sandboxes))  # ended before sandboxes are
        server = SandboxServer(sandboxes, threads, most, token)
        app = web.Application(middlewares=[server.checked], client_max_size=server.most_bytes)
        app.add_routes([web.get("/about", server.about), web.post("/run", server.run)])
        where = f"[{host}]" if ":" in host else host
        print(f"sandbox: {sandboxes[0].description}")
        print(
            f"{n_sandboxes} at a time at http://{where}:{listening.getsockname()[1]}, "
            + ("for whoever has the token" if token else "for every user of this machine"),
            flush=True,
        )
        web.run_app(app, sock=listening, print=None, access_log=None, shutdown_timeout=most.wall_s)


class SandboxServer:
    """The two things that it answers, and who may ask."""

    def __init__(
        self, sandboxes: Sequence[Sandbox], threads: ThreadPoolExecutor, most: Limits, token: str
    ) -> None:
        self._sandboxes, self._threads, self._most = sandboxes, threads, most
        self._token = token
        self._idle: asyncio.Queue[Sandbox] = asyncio.Queue()
        for sandbox in sandboxes:
            self._idle.put_nowait(sandbox)
        self._waiting = 0
        self.most_bytes = REQUEST_PER_OUTPUT * most.output_bytes

    @web.middleware
    async def checked(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Turns away who lacks the token, and puts what aiohttp raises into our form."""
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return _error(401, f"wrong token: set {wire.TOKEN} to the one that it was started with")
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return self._too_large()
        except web.HTTPException as error:
            return _error(error.status, f"{error.reason}: there are GET /about and POST /run")

    async def about(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "protocol": wire.PROTOCOL,
                "strength": self._sandboxes[0].strength,
                "description": self._sandboxes[0].description,
                "sandboxes": len(self._sandboxes),
                "most": self._most._asdict(),
                "most_request_bytes": self.most_bytes,
            }
        )

    async def run(self, request: web.Request) -> web.Response:
        """Waits READ_S for the request and QUEUE_S for a sandbox, then as long as programs may."""
        if (request.content_length or 0) > self.most_bytes:
            return self._too_large()
        if self._waiting >= QUEUE_PER_SANDBOX * len(self._sandboxes):
            return _error(503, f"{self._waiting} requests are waiting already: {_MORE}")
        self._waiting += 1
        late = f"the request did not arrive within {READ_S:g} s"
        try:
            async with asyncio.timeout(READ_S):
                body = await request.read()
            late = f"no sandbox was free within {wire.QUEUE_S:g} s: {_MORE}"
            async with asyncio.timeout(wire.QUEUE_S):
                sandbox = await self._idle.get()
        except TimeoutError:
            return _error(503, late)
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, _answer, sandbox, body, self._most)
        # Not when this task ends, which may be earlier: then the program still runs.
        work.add_done_callback(lambda _: self._idle.put_nowait(sandbox))
        status, answer = await asyncio.shield(work)
        return web.Response(status=status, body=answer, content_type="application/json")

    def _too_large(self) -> web.Response:
        return _error(413, f"a request of more than {self.most_bytes:,} bytes")


_MORE = "start it with more --sandboxes, or ask with fewer workers"


def _answer(sandbox: Sandbox, body: bytes, most: Limits) -> tuple[int, bytes]:
    """Status and body of the answer to one request; in a thread, which alone uses this sandbox."""
    try:
        jobs = wire.read_jobs(body, most)
        if not sandbox.running:
            sandbox.start()
        return 200, wire.write_ran(sandbox.strength, sandbox.run_together(jobs))
    except wire.BadJobs as error:
        return 400, json.dumps({"error": str(error)}).encode()
    except SandboxError as error:
        return 500, json.dumps({"error": f"its own sandbox failed: {error}"}).encode()


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _token(host: str) -> str:
    try:
        token = wire.token()
    except ValueError as error:
        raise UserError(str(error)) from error
    if token or _is_this_machine_only(host):
        return token
    raise UserError(
        f"--host {host} lets other machines have programs run here: set {wire.TOKEN} to a secret, "
        "here and where it is used (python3 -c 'import secrets; print(secrets.token_hex())')"
    )


def _check_enough(most: Limits) -> None:
    """The defaults are what checkers and generators of tasks are given."""
    least = Limits(most.wall_s)
    if most.memory_mib < least.memory_mib or most.output_bytes < least.output_bytes:
        raise UserError(
            f"--memory-mib {most.memory_mib} --output-mib {most.output_bytes >> 20}: at least "
            f"{least.memory_mib} and {least.output_bytes >> 20}, which tasks ask for by default"
        )


def _is_this_machine_only(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}, port {port}: {error}; try --port 0") from error
