"""A real headless Chromium, spoken to through its own pipe: real mouse and keyboard events, real storage, reloads."""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE_S = 60


class ProtocolError(Exception):
    """Chromium refused a call, such as one into a page that is being left."""


class Browser:
    """One window. The profile outlives it: open another on the same folder to try closing and opening again.

    Source: Chrome DevTools Protocol 1.3 (Target, Page, Runtime, Input); messages end with a zero byte.
    """

    def __init__(self, profile: Path):
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("Chromium is not installed")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4.
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1000,1000"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *options, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers, self._buffer, self._session = itertools.count(1), b"", None
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **params):
        """Call a method of the protocol and wait for its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE_S
        while True:
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
                chunk = os.read(self._read, 1 << 20) if ready else b""
                assert chunk, f"Chromium did not answer {method}"
                self._buffer += chunk
            text, _, self._buffer = self._buffer.partition(b"\0")
            reply = json.loads(text)
            if reply.get("id") == number:
                if "error" in reply:
                    raise ProtocolError(f"{method}: {reply['error']}")
                return reply["result"]

    def open(self, path: Path) -> None:
        """Go to a file and wait for it."""
        self.send("Page.navigate", url=path.as_uri())
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(path.as_uri())}")

    def reload(self) -> None:
        """As the reload button."""
        self.run("window.isOld = true")
        self.send("Page.reload")
        self.wait("document.readyState === 'complete' && !window.isOld")

    def run(self, script: str):
        """The value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true; a page that is just being left or entered has no answer yet."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self.run(script):
                    return
            except ProtocolError:
                pass
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """The mouse on the middle of an element that is shown."""
        script = f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: "center" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2, box.width];
        }})()"""
        x, y, width = self.run(script)
        assert width > 0, f"{selector} is not shown"
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """A key, such as r or ArrowLeft."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def type(self, text: str) -> None:
        """Text into the field that has the focus."""
        self.send("Input.insertText", text=text)

    def close(self) -> None:
        """End the program and wait for it, so that what the page stored is on disk."""
        try:
            self._session = None
            self.send("Browser.close")
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._write)
            os.close(self._read)
