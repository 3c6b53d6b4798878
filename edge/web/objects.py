"""Objects for people, arrays for the wire: one struct, two JSON-like forms.

The nouns of :mod:`edge.model.records` encode as arrays, because every byte counts on a thin link. Over
HTTP a name is worth more than a byte: this module makes, from such a type, a twin whose structs are
JSON objects with the same fields, limits and defaults, and turns values from one form into the other.
Pure; knows no HTTP.
"""

import functools
import types
import typing
from typing import Any

import msgspec

_original: dict[type[msgspec.Struct], type[msgspec.Struct]] = {}


@functools.cache
def object_form(kind: Any) -> Any:
    """The type whose JSON is made of objects. A type without array structs is given back as it is."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_form(kind)
    arguments = typing.get_args(kind)
    if not arguments:
        return kind
    if typing.get_origin(kind) is typing.Annotated:
        return typing.Annotated[(object_form(arguments[0]), *arguments[1:])]
    changed = tuple(argument if argument is Ellipsis else object_form(argument) for argument in arguments)
    if changed == arguments:
        return kind
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[changed]  # noqa: UP007 (the members are values here)
    return origin[changed]


def _struct_form(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    config = kind.__struct_config__
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    changed = {field.name: object_form(hints[field.name]) for field in fields}
    if not config.array_like and all(changed[name] == hints[name] for name in changed):
        return kind
    twin = msgspec.defstruct(
        kind.__name__,
        [_field(field, changed[field.name]) for field in fields],
        module=kind.__module__,
        namespace={"__doc__": kind.__doc__},
        frozen=True,
        kw_only=True,
        tag=config.tag,
        tag_field=config.tag_field,
        forbid_unknown_fields=config.array_like or config.forbid_unknown_fields,
    )
    _original[twin] = kind
    return twin


def _field(field: msgspec.structs.FieldInfo, kind: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        # A default that is a struct itself has to be of the twin's kind; nobody may change it, it is frozen.
        return field.name, kind, msgspec.field(default=_twin(field.default))
    return field.name, kind


def _twin(value: Any) -> Any:
    """A value of an original type as one of its twin."""
    if not isinstance(value, msgspec.Struct):
        return value
    form = object_form(type(value))
    if form is type(value):
        return value
    return form(**{name: _twin(getattr(value, name)) for name in value.__struct_fields__})


def from_objects(value: Any) -> Any:
    """The value that was decoded as an :func:`object_form`, in the original types."""
    if isinstance(value, msgspec.Struct):
        kind = _original.get(type(value))
        if kind is None:
            return value
        return kind(**{name: from_objects(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, tuple):
        return tuple(from_objects(item) for item in value)
    if isinstance(value, list):
        return [from_objects(item) for item in value]
    if isinstance(value, dict):
        return {key: from_objects(item) for key, item in value.items()}
    return value


def to_objects(value: Any) -> Any:
    """Plain values, structs as objects: what ``msgspec.json.encode`` is to be given."""
    if isinstance(value, msgspec.Struct):
        made = {name: to_objects(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        if tag is not None:
            return {value.__struct_config__.tag_field or "type": tag, **made}
        return made
    if isinstance(value, tuple | list):
        return [to_objects(item) for item in value]
    if isinstance(value, dict):
        return {key: to_objects(item) for key, item in value.items()}
    return value
