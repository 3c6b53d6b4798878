"""axe-core on a page as it stands, in a world of its own: the page's policy stays as strict as it is.

A page whose elements have the same shapes as one that was looked at before, in the same language, is not looked at
again in this process: a list of five patients says nothing that a list of two did not.
"""

from pathlib import Path
from typing import cast

from playwright.sync_api import CDPSession, Page

from tests.kits.clinic import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RUN = (Path(__file__).parent / "axe.js").read_text("utf-8")
_known: set[str] = set()


def findings(page: Page) -> list[str]:
    """What axe-core's rules find on the page; empty when its like was looked at before."""
    session = page.context.new_cdp_session(page)
    try:
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
        if not _value(session, world, "typeof axe === 'object'"):
            _value(session, world, AXE.read_text("utf-8") + ";0")
        found = cast(dict[str, object], _value(session, world, f"({RUN})({{known: {sorted(_known)}}})"))
    finally:
        session.detach()
    _known.add(str(found["shape"]))
    return cast(list[str], found["findings"])


def _value(session: CDPSession, world: int, expression: str) -> object:
    """What an expression of that world gives. Raises AssertionError with the exception that it threw."""
    told = session.send(
        "Runtime.evaluate",
        {"expression": expression, "contextId": world, "awaitPromise": True, "returnByValue": True},
    )
    assert "exceptionDetails" not in told, told["exceptionDetails"]
    return told["result"].get("value")
