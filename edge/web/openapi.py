"""OpenAPI 3.1 from the route table: the structs that parse the requests describe them.

Pure: a list of routes in, a document out.
"""

import functools
import re
from collections.abc import Iterable, Sequence

import msgspec

from edge.model.errors import Refusal

from .objects import object_form
from .routes import JSON, WEBSOCKET, AnyRoute, Auth, Raw

_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{name}"
_MEANINGS = {
    400: "The request could not be understood; `field` says where.",
    401: "Nobody is logged in, or the credentials are wrong.",
    403: "Not allowed, or the CSRF header is missing.",
    404: "There is no such thing here.",
    409: "Well formed, but it does not fit what is recorded.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body has the wrong media type.",
    416: "There is no such range.",
    422: "The rules deny it.",
    423: "The node is locked.",
    426: "This address speaks WebSocket.",
    429: "Too many attempts; wait.",
    500: "We failed; try again later.",
    503: "Something that this needs is not there at the moment.",
}

Json = dict[str, object]


def document(title: str, version: str, cookie: str, routes: Sequence[AnyRoute]) -> Json:
    """The OpenAPI 3.1 document of an API whose session cookie is called ``cookie``."""
    types = _types_of(routes)
    forms = [object_form(kind) for kind in types]
    schemas, components = msgspec.json.schema_components(forms, ref_template=_REFERENCE)
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF"},
            },
        },
    }


def reply_of(title: str, version: str, cookie: str, routes: Sequence[AnyRoute]) -> Raw:
    """The document, encoded once."""
    return Raw(msgspec.json.encode(document(title, version, cookie, routes)), JSON)


@functools.cache
def _fields(query: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(query)


def _types_of(routes: Iterable[AnyRoute]) -> list[object]:
    types: dict[int, object] = {id(Refusal): Refusal}
    for route in routes:
        wanted = [route.param_type(name) for name in _PARAMETER.findall(route.path)]
        if route.body_media == JSON:
            wanted.append(route.body)
        if route.reply_media == JSON:
            wanted.append(route.reply)
        if route.query is not None:
            wanted += [field.type for field in _fields(route.query)]
        types.update({id(kind): kind for kind in wanted if kind is not None})
    return list(types.values())


def _operation(route: AnyRoute, schema_of: dict[int, Json]) -> Json:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": schema_of[id(route.param_type(name))]}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        parameters += [
            {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": schema_of[id(field.type)],
            }
            for field in _fields(route.query)
        ]
    operation: Json = {
        "operationId": route.name,
        "summary": route.description,
        "responses": _responses(route, schema_of),
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = schema_of[id(route.body)] if route.body_media == JSON else {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {route.body_media: {"schema": schema}}}
    if route.auth is Auth.SESSION:
        needs: dict[str, list[str]] = {"session": []}
        if route.method not in ("GET", "HEAD"):
            needs["csrf"] = []
        operation["security"] = [needs]
    return operation


def _responses(route: AnyRoute, schema_of: dict[int, Json]) -> Json:
    responses: Json = {}
    if route.reply_media == WEBSOCKET:
        responses["101"] = {"description": "The WebSocket is open."}
    elif route.reply is None:
        responses["204"] = {"description": "Done."}
    elif route.reply_media == JSON:
        responses["200"] = {"description": "Done.", "content": {JSON: {"schema": schema_of[id(route.reply)]}}}
    else:
        schema = {"type": "string", "format": "binary"}
        responses["200"] = {"description": "Done.", "content": {route.reply_media: {"schema": schema}}}
    statuses = {500, *route.errors}
    if "{" in route.path:
        statuses |= {400, 404}
    if route.query is not None:
        statuses.add(400)
    if route.body is not None:
        statuses |= {400, 408, 413, 415}
    if route.auth is Auth.SESSION:
        statuses |= {401, 403}
    if route.reply_media == WEBSOCKET:
        statuses |= {400, 426}
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": _MEANINGS[status],
            "content": {JSON: {"schema": {"$ref": _REFERENCE.format(name="Refusal")}}},
        }
    return responses
