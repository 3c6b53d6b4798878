"""A headless Firefox of the system, driven through its own remote protocol (Marionette): lengths and JSON over TCP."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import json

PROGRAM = next((found for name in ("firefox-esr", "firefox") if (found := shutil.which(name))), "")
_PREFERENCES = {
    "marionette.port": 0,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
}
_BEGIN_S = 150.0


class Firefox:
    """One tab."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._number = 0

    async def ask(self, command: str, **given: Any) -> Any:
        """One command and its result."""
        self._number += 1
        text = json.encode([0, self._number, command, given])
        self._writer.write(b"%d:%s" % (len(text), text))
        _kind, _number, error, result = await self.read()
        if error:
            raise RuntimeError(f"{error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and "value" in result else result

    async def read(self) -> Any:
        """What Firefox says next."""
        length = (await self._reader.readuntil(b":"))[:-1]
        return json.decode(await self._reader.readexactly(int(length)))

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return await self.ask("WebDriver:ExecuteScript", script=f"return {expression}", args=[], sandbox=None)

    async def until(self, condition: str, timeout_s: float = 60.0) -> None:
        """Wait until a JavaScript condition holds in the page."""
        end_s = time.monotonic() + timeout_s
        while not await self.evaluate(condition):
            if time.monotonic() > end_s:
                raise TimeoutError(condition)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Firefox]:
    """A Firefox with a profile of its own, a made camera and a made microphone."""
    with tempfile.TemporaryDirectory(prefix="firefox-") as place:
        lines = [f'user_pref("{name}", {json.encode(value).decode()});' for name, value in _PREFERENCES.items()]
        (Path(place) / "user.js").write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "--headless", "--marionette", "--no-remote", "--profile", place,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": place, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(_BEGIN_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", await _port(Path(place)))
                firefox = Firefox(reader, writer)
                await firefox.read()  # who it is
                await firefox.ask("WebDriver:NewSession")
            yield firefox
            writer.close()
        finally:
            process.kill()
            await process.wait()


async def _port(profile: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((profile / "MarionetteActivePort").read_text())
        await asyncio.sleep(0.1)
