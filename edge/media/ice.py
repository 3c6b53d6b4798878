"""What webrtcbin is told of ways through the network: its servers, and to settle on a way in one round trip less.

libnice by itself looks first whether a pair works and nominates it in another round trip, and webrtcbin begins the
handshake only then; here it nominates with each check (RFC 5245 §8.1.1.2). The agent has a property for this, read at
each check, that may be given only when the agent is made; and it is made inside webrtcbin, which hands on nothing. So
the mark "only when made" is lifted for a moment. The structures are those of GObject's public headers. What cannot be
done leaves the agent as it was: slower, not broken.
"""

import ctypes
import logging
import re
from typing import Any
from urllib.parse import quote

from edge.media.signals import IceServer

_PROPERTY = b"nomination-mode"
_AGGRESSIVE = 1
"""NICE_NOMINATION_MODE_AGGRESSIVE of nice/agent.h."""
_CONSTRUCT_ONLY = 1 << 3
"""G_PARAM_CONSTRUCT_ONLY of gobject/gparam.h."""
_LOG = logging.getLogger(__name__)


class _ParamSpec(ctypes.Structure):
    """The public head of GParamSpec."""

    _fields_ = (("type_class", ctypes.c_void_p), ("name", ctypes.c_char_p), ("flags", ctypes.c_int))


def nominate_at_once(agent: Any) -> bool:
    """Make a NiceAgent that has checked nothing yet nominate with every check; whether it does now."""
    try:
        spec = _find(agent)
        if spec is None:
            return False
        spec.flags &= ~_CONSTRUCT_ONLY
        try:
            agent.set_property(_PROPERTY.decode(), _AGGRESSIVE)
        finally:
            spec.flags |= _CONSTRUCT_ONLY
    except (OSError, AttributeError, TypeError, ValueError) as error:
        _LOG.warning("the pair of addresses is nominated late: %s", error)
        return False
    return int(agent.get_property(_PROPERTY.decode())) == _AGGRESSIVE


def _find(agent: Any) -> _ParamSpec | None:
    """The description of the property, shared by all agents of this process; None where there is no such one."""
    gobject = ctypes.CDLL("libgobject-2.0.so.0")  # as GObject's ABI is named since 2002
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    find = gobject.g_object_class_find_property
    find.restype, find.argtypes = ctypes.POINTER(_ParamSpec), (ctypes.c_void_p, ctypes.c_char_p)
    instance = pointer_of(agent.__gpointer__, None)
    type_class = ctypes.cast(instance, ctypes.POINTER(ctypes.c_void_p)).contents  # the first field of a GTypeInstance
    found = find(type_class, _PROPERTY)
    return found.contents if found and found.contents.name == _PROPERTY else None


def add_servers(web: Any, servers: tuple[IceServer, ...]) -> None:
    """Tell a webrtcbin of its STUN and TURN servers, before it gathers. What is not understood is left out."""
    for server in servers:
        for url in server.urls:
            match = re.fullmatch(r"(stun|turn):([^?]+)(\?transport=(?:udp|tcp))?", url)
            if match is None:
                _LOG.warning("an ICE server's address is not understood")
                continue
            scheme, place, transport = match.group(1), match.group(2), match.group(3) or ""
            if scheme == "stun":
                web.set_property("stun-server", f"stun://{place}")
            else:
                account = f"{quote(server.username, safe='')}:{quote(server.credential, safe='')}"
                web.emit("add-turn-server", f"turn://{account}@{place}{transport}")
