"""Bearers: the only I/O of sync. They carry sealed packets and are trusted with nothing."""

from .base import Bearer, BearerRefused
from .runner import HubRunner, NodeRunner, wss_handler
from .udp import UdpBearer
from .wss import WssBearer

__all__ = ["Bearer", "BearerRefused", "HubRunner", "NodeRunner", "UdpBearer", "WssBearer", "wss_handler"]
