"""A headless Chromium, spoken to through its DevTools protocol. No network is needed or used."""

import asyncio
import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

DEADLINE_S = float(os.environ.get("ASSAY_BROWSER_DEADLINE_S", "60"))
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-zygote", "--in-process-gpu",
    "--disable-dev-shm-usage", "--no-first-run", "--lang=en-US",
    "--remote-debugging-port=0", "--hide-scrollbars",
]  # fmt: skip


class Page:
    """One page of a browser of its own. Use as a context manager."""

    def __init__(self, program: str, environment: dict[str, str], profile: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._log = profile / "browser.log"
        argv = [program, *FLAGS, f"--user-data-dir={profile / 'user'}", "about:blank"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                stderr=log,
                stdout=log,
                env={**os.environ, "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8", **environment},
            )
        self._ids = 0
        self._answers: dict[int, Any] = {}
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> "Page":
        try:
            self._wait(self._connect())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_socket"):
            self._loop.run_until_complete(self._close())
        self._process.kill()
        self._process.wait()
        self._loop.close()

    def open(self, file: Path) -> None:
        """Show a file, and wait until the report says that it is ready."""
        self.call("Page.navigate", url=file.absolute().as_uri())
        self.until("document.documentElement?.dataset.ready === 'yes'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._wait(self._call(method, parameters))

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, awaited where it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression} did not come true; {self.problems()}"
            time.sleep(0.05)

    def choose(self, selector: str, text: str) -> None:
        """The option of a select that shows this text, as a user would."""
        self.value(
            f"""(() => {{ const select = document.querySelector({json.dumps(selector)});
            const option = [...select.options].find((o) => o.text === {json.dumps(text)});
            select.value = option.value; select.dispatchEvent(new Event("change")); }})()"""
        )

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip

    def scheme(self, name: str) -> None:
        """What prefers-color-scheme says: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, file: Path) -> None:
        """What is in sight, as a WebP file."""
        found = self.call("Page.captureScreenshot", format="webp", quality=70)
        file.write_bytes(base64.b64decode(found["data"]))

    def problems(self) -> list[dict[str, Any]]:
        """Exceptions, what the console calls an error, and requests that are not for a file."""
        return [event for event in self.events if _is_problem(event)]

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, DEADLINE_S))

    async def _connect(self) -> None:
        while not (found := re.search(r"ws://\S+", self._log.read_text(errors="replace"))):
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            await asyncio.sleep(0.05)
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(found[0], max_msg_size=0)
        self._target: dict[str, str] = {}
        page = await self._call("Target.createTarget", {"url": "about:blank"})
        attached = await self._call(
            "Target.attachToTarget", {"targetId": page["targetId"], "flatten": True}
        )
        self._target = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable", {})

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._ids += 1
        own = self._ids
        message = {"id": own, "method": method, "params": parameters, **self._target}
        await self._socket.send_str(json.dumps(message))
        while own not in self._answers:
            received = json.loads(await self._socket.receive_str())
            if "id" in received:
                self._answers[received["id"]] = received
            else:
                self.events.append(received)
        answer = self._answers.pop(own)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def _close(self) -> None:
        await self._socket.close()
        await self._session.close()


def _is_problem(event: dict[str, Any]) -> bool:
    content = event.get("params", {})
    match event["method"]:
        case "Runtime.exceptionThrown":
            return True
        case "Runtime.consoleAPICalled":
            return content["type"] in ("error", "warning", "assert")
        case "Log.entryAdded":
            return content["entry"]["level"] in ("error", "warning")
        case "Network.requestWillBeSent":
            return not content["request"]["url"].startswith(("file:", "about:"))
    return False
