"""The route table: what an operation takes, gives and demands, said once.

:func:`mount` turns a list of routes into an aiohttp application's dispatch: session and CSRF checks,
decoding into frozen structs, refusals as JSON. ``openapi.py`` reads the same list. Handlers see a
:class:`Call` and return a struct; they never touch JSON.
"""

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from edge.model.errors import BadInput, Fault, Forbidden, NotFound, Refusal, UpkendraError
from edge.model.ids import Id

from .logs import say
from .objects import from_objects, object_form, to_objects
from .refusals import (
    TooLarge,
    TooSlow,
    Unauthorised,
    UnsupportedMediaType,
    WrongCsrf,
    bad_input,
    failure_of,
    refusal_reply,
)
from .sessions import Session, csrf_fits, origin_fits, untouched_s

BODY_LIMIT_BYTES = 256 * 1024
BODY_TIMEOUT_S = 60.0
"""How long a body may take: the largest one at 35 kbit/s."""
JSON = "application/json"
BINARY = "application/octet-stream"
WEBSOCKET = "websocket"

logger = logging.getLogger("edge.web")

B = TypeVar("B")
Q = TypeVar("Q")


class Auth(StrEnum):
    """Who may call an operation."""

    OPEN = "open"
    SESSION = "session"


class Raw(msgspec.Struct, frozen=True):
    """A reply that is no JSON: a PDF, sealed bytes, something already encoded."""

    body: bytes
    media_type: str
    headers: tuple[tuple[str, str], ...] = ()


class WithCookie(msgspec.Struct, frozen=True):
    """A reply that also leaves a cookie which is no session."""

    reply: "msgspec.Struct | WithSession"
    name: str
    value: str
    path: str
    max_age_s: int


class WithSession(msgspec.Struct, frozen=True):
    """A reply that also begins (``session``) or ends (``None``) the caller's session."""

    reply: msgspec.Struct | None
    session: Session | None


Answer = msgspec.Struct | Sequence[msgspec.Struct] | web.StreamResponse | None


@dataclass(frozen=True)
class Call(Generic[B, Q]):
    """One request, decoded."""

    request: web.Request
    body: B
    """An instance of ``Route.body``; raw ``bytes`` when ``body_media`` is not JSON; None without a body."""
    query: Q
    """An instance of ``Route.query``; None when the route has none."""
    path: Mapping[str, str]
    """Path parameters, checked against ``Route.params``."""
    session: Session | None

    @property
    def subject(self) -> str:
        """Id of who is logged in. Only for routes that demand a session."""
        if self.session is None:
            raise Unauthorised("Nobody is logged in.")
        return self.session.subject


@dataclass(frozen=True)
class Route(Generic[B, Q]):
    """One operation. ``path`` is written as in OpenAPI: ``/api/visits/{visit_id}``."""

    method: str
    path: str
    handler: Callable[[Call[B, Q]], Awaitable[Answer]]
    body: object = None
    """Type of the request body (a struct, or a union of tagged structs); None: no body is read."""
    reply: object = None
    """Type of the 200 reply; None: 204 without a body."""
    auth: Auth = Auth.SESSION
    query: type[msgspec.Struct] | None = None
    """A keyword struct of the query parameters, all with defaults."""
    params: Mapping[str, object] | None = None
    """Types of path parameters that are no :data:`edge.model.ids.Id`."""
    errors: tuple[int, ...] = ()
    """Statuses beyond those that follow from the rest (400, 401, 403, 404, 413, 415, 500)."""
    body_media: str = JSON
    reply_media: str = JSON
    """Media type of the reply; :data:`WEBSOCKET` for an upgrade (the handler returns the response)."""
    while_locked: bool = False
    """May be called before the node is unlocked. The hub does not use it."""
    summary: str = ""

    @property
    def name(self) -> str:
        """The operation id: the handler's name."""
        return self.handler.__name__.lstrip("_")

    @property
    def description(self) -> str:
        return self.summary or (inspect.getdoc(self.handler) or "").split("\n\n")[0].replace("\n", " ")

    def param_type(self, name: str) -> object:
        """Type of a path parameter; :data:`edge.model.ids.Id` unless ``params`` says otherwise."""
        return (self.params or {}).get(name, Id)


AnyRoute: TypeAlias = Route[Any, Any]
"""A table holds routes of all body types; a handler's own types are checked where its route is declared."""

ROUTE: web.RequestKey[AnyRoute] = web.RequestKey("route", Route)

FindSession = Callable[[str, float], Awaitable[Session | None]]
"""By the token, and for how many seconds nobody has touched the page that asks."""
Guard = Callable[[AnyRoute], Refusal | None]
Allow = Callable[[AnyRoute, Session], None]


@dataclass(frozen=True)
class Gate:
    """What stands before every handler of an application."""

    cookie: str
    find_session: FindSession
    secure: bool = False
    """True when the pages are served over TLS: the cookie gets ``Secure``."""
    guard: Guard | None = None
    """Refuses a route in the application's present state (a locked node)."""
    allow: Allow | None = None
    """Raises Forbidden when a route is not for whom the session belongs to."""


def mount(app: web.Application, routes: Sequence[AnyRoute], gate: Gate) -> None:
    """Add the routes to an application made by :func:`edge.web.server.new_app`."""
    for route in routes:
        app.router.add_route(route.method, route.path, _dispatcher(route, gate))


def _dispatcher(route: AnyRoute, gate: Gate) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    decoder = _decoder_of(route)

    async def dispatch(request: web.Request) -> web.StreamResponse:
        request[ROUTE] = route
        if gate.guard is not None:
            refusal = gate.guard(route)
            if refusal is not None:
                return refusal_reply(refusal)
        session = await _session_of(route, gate, request)
        if session is not None and gate.allow is not None:
            gate.allow(route, session)
        call = Call(
            request,
            await _body_of(route, decoder, request),
            _query_of(route, request),
            _path_of(route, request),
            session,
        )
        return _reply_of(await route.handler(call), route, gate)

    return dispatch


def _decoder_of(route: AnyRoute) -> "msgspec.json.Decoder[object] | None":
    if route.body is None or route.body_media != JSON:
        return None
    return msgspec.json.Decoder(object_form(route.body))


async def _session_of(route: AnyRoute, gate: Gate, request: web.Request) -> Session | None:
    if route.auth is Auth.OPEN:
        return None  # what a page asks by itself, every few seconds, keeps no session alive
    token = request.cookies.get(gate.cookie, "")
    # a page that opens its channel again has no hand on it
    untouched = math.inf if route.reply_media == WEBSOCKET else untouched_s(request)
    session = await gate.find_session(token, untouched) if token else None
    if session is None:
        raise Unauthorised("Nobody is logged in. Log in first.")
    if route.reply_media == WEBSOCKET and not origin_fits(request):
        raise Forbidden("This page may not connect here.")
    if request.method not in ("GET", "HEAD") and not csrf_fits(session, request):
        raise WrongCsrf("The header X-CSRF does not fit the session. Load the page again.")
    return session


async def _body_of(route: AnyRoute, decoder: "msgspec.json.Decoder[object] | None", request: web.Request) -> object:
    if route.body is None:
        return None
    if request.content_type != route.body_media:
        raise UnsupportedMediaType(f"Send the body as {route.body_media}.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without a content encoding.")
    if (request.content_length or 0) > BODY_LIMIT_BYTES:
        raise TooLarge(f"At most {BODY_LIMIT_BYTES} bytes are taken.")
    try:
        raw = await asyncio.wait_for(request.read(), BODY_TIMEOUT_S)
    except TimeoutError:
        raise TooSlow(f"The body did not come within {BODY_TIMEOUT_S:.0f} seconds.") from None
    if decoder is None:
        return raw
    try:
        return from_objects(decoder.decode(raw))
    except msgspec.DecodeError as error:
        raise bad_input(error) from None
    except UnicodeDecodeError:
        raise BadInput("The body is not valid UTF-8.") from None
    except RecursionError:
        raise BadInput("The body is nested too deeply.") from None


def _query_of(route: AnyRoute, request: web.Request) -> object:
    if route.query is None:
        return None
    given: dict[str, str] = {}
    known = {field.encode_name for field in msgspec.structs.fields(route.query)}
    for name, value in request.query.items():
        if name not in known:
            raise BadInput("There is no such query parameter here.", field=name[:60])
        if name in given:
            raise BadInput("This query parameter may be given once.", field=name)
        given[name] = value
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise bad_input(error) from None


def _path_of(route: AnyRoute, request: web.Request) -> Mapping[str, str]:
    for name, value in request.match_info.items():
        try:
            msgspec.convert(value, route.param_type(name))
        except msgspec.ValidationError:
            raise BadInput("This part of the address is not an identifier.", field=name) from None
    return request.match_info


def _reply_of(answer: Answer, route: AnyRoute, gate: Gate) -> web.StreamResponse:
    session: Session | None = None
    cookie = answer if isinstance(answer, WithCookie) else None
    if cookie is not None:
        answer = cookie.reply
    changes_session = isinstance(answer, WithSession)
    if isinstance(answer, WithSession):
        session, answer = answer.session, answer.reply
    if isinstance(answer, web.StreamResponse):
        return answer
    response: web.StreamResponse
    if answer is None:
        response = web.Response(status=204)
    elif isinstance(answer, Raw):
        response = web.Response(body=answer.body, content_type=answer.media_type, headers=dict(answer.headers))
    else:
        plain = isinstance(answer, msgspec.Struct) and object_form(type(answer)) is type(answer)
        body = msgspec.json.encode(answer if plain else to_objects(answer))
        response = web.Response(body=body, content_type=JSON)
    if session is not None:
        response.set_cookie(gate.cookie, session.token, httponly=True, samesite="Strict", secure=gate.secure, path="/")
    elif changes_session:
        response.del_cookie(gate.cookie, path="/", httponly=True, samesite="Strict")
    if cookie is not None:
        response.set_cookie(
            cookie.name,
            cookie.value,
            max_age=cookie.max_age_s,
            httponly=True,
            samesite="Strict",
            secure=gate.secure,
            path=cookie.path,
        )
    return response


@web.middleware
async def refusals_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every failure into a refusal, and log the request by its route, never by its address."""
    started_s = time.perf_counter()
    try:
        response = await handler(request)
    except UpkendraError as error:
        if error.refusal.fault is Fault.US:
            say(logger, "refused", logging.WARNING, code=error.refusal.code)
        response = refusal_reply(error.refusal)
    except web.HTTPRequestEntityTooLarge:
        response = refusal_reply(TooLarge(f"At most {BODY_LIMIT_BYTES} bytes are taken.").refusal)
    except web.HTTPMethodNotAllowed as error:
        allowed = ",".join(sorted(error.allowed_methods))
        refusal = Refusal("method_not_allowed", f"This address takes {allowed}.", fault=Fault.CALLER)
        response = refusal_reply(refusal, headers={"Allow": allowed})
    except web.HTTPNotFound:
        response = refusal_reply(NotFound("There is nothing at this address.").refusal)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = refusal_reply(Refusal("bad_input", error.reason, fault=Fault.CALLER), error.status)
    except (ConnectionResetError, ConnectionAbortedError):
        raise
    except Exception as error:
        logger.exception("handler failed")
        response = refusal_reply(failure_of(error))
    route = request.get(ROUTE)
    if route is not None:
        elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
        say(logger, "request", method=request.method, route=route.path, status=response.status, ms=elapsed_ms)
    return response
