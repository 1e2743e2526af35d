"""A headless Chromium driven over its DevTools protocol: what a reader's browser does, without a network."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt install chromium)")


_MOVES = {
    "Page.frameNavigated", "Page.frameRequestedNavigation", "Page.frameScheduledNavigation", "Page.frameAttached",
    "Page.javascriptDialogOpening", "Page.windowOpen", "Page.downloadWillBegin",
}  # fmt: skip


class Page:
    """One tab. Everything it asks for over a network and every error it reports is kept."""

    def __init__(self, address: str):
        import websocket

        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._number = 0
        self._asked: dict[str, str] = {}
        self.requests: list[str] = []
        #: those of the requests that the page's policy stopped
        self.refused: list[str] = []
        self.errors: list[str] = []
        #: where the page went or wanted to go, the windows and dialogs that it opened, what it saved
        self.moves: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        what, told = event.get("method"), event.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
            self._asked[told["requestId"]] = told["request"]["url"]
        elif what == "Network.loadingFailed" and told.get("blockedReason") == "csp":
            self.refused.append(self._asked.get(told["requestId"], "?"))
        elif what in _MOVES:
            self.moves.append(f"{what} {told.get('url') or told.get('frame', {}).get('url') or told.get('message')}")
        elif what == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"])[:500])
        elif what == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(json.dumps(told["args"])[:500])
        elif what == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"] + " " + told["entry"].get("url", ""))

    def evaluate(self, script: str) -> Any:
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """The first value of `script` that is true."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.evaluate(script)
            if value:
                return value
            assert time.monotonic() < deadline, f"never true: {script}; errors: {self.errors[:5]}"
            time.sleep(0.2)

    def open(self, address: str, *, dark: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && [...document.images].every(i => i.complete)")

    def key(self, name: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def resize(self, width: int, height: int = 1600) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, *, whole: bool = True) -> bytes:
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])


@contextlib.contextmanager
def browser(width: int = 1200, height: int = 1600) -> Iterator[Page]:
    """A fresh Chromium with one tab; it ends with the block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="ptofa-chromium-", ignore_cleanup_errors=True) as home:
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
            f"--window-size={width},{height}", f"--user-data-dir={home}", "--remote-debugging-port=0", "about:blank",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = Path(home, "DevToolsActivePort")
            deadline = time.monotonic() + 60
            while not told.is_file() or len(told.read_text().split()) < 2:
                assert process.poll() is None, "chromium ended"
                assert time.monotonic() < deadline, "chromium does not start"
                time.sleep(0.1)
            port = told.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
                tab = next(t for t in json.load(answer) if t["type"] == "page")
            yield Page(tab["webSocketDebuggerUrl"])
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
