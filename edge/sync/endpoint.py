"""The two ends of the link, each one object without I/O."""

from .endpoint_hub import HubEndpoint
from .endpoint_node import NodeEndpoint

__all__ = ["HubEndpoint", "NodeEndpoint"]
