"""A started hub for each test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .kit import HubKit


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[HubKit]:
    started = await (await asyncio.to_thread(HubKit, tmp_path / "hub")).start()
    yield started
    await started.stop()
