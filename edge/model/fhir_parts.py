"""The resources that FHIR documents are made of: base R4 with the NRCeS profiles (fhir.md §1–4).

Where a profile wants a code with its official display and no source gives us that, the thing is said in words only,
which every profile here allows. Ids are UUIDs made from our own ids, so that node and hub name the same thing alike.
Pure.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from html import escape
from typing import TypeAlias
from uuid import UUID, uuid5

from msgspec import Struct

from .clock import IST_OFFSET_S
from .data import load

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json]"
Resource: TypeAlias = dict[str, Json]

NAMESPACE = UUID("6f1c1f0e-5a55-5d6b-9f0b-7c5f0d3d7a11")
"""Under which all our UUIDs are made; never changes."""
PROFILES = "https://nrces.in/ndhm/fhir/r4/StructureDefinition/"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
NDHM_TYPES = "https://nrces.in/ndhm/fhir/r4/CodeSystem/ndhm-identifier-type-code"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
OURS = "urn:upkendra:"
"""Namespaces of our own numbers: ``urn:upkendra:patient``, ``…:visit``, ``…:site``, ``…:staff``, ``…:document``."""
IDENTIFIER_TYPES = {
    "MR": (V2_0203, "Medical record number"),
    "MD": (V2_0203, "Medical License number"),
    "PRN": (V2_0203, "Provider number"),
    "HIN": (NDHM_TYPES, "Health ID issued by NDHM"),
    "ABHA": (NDHM_TYPES, "Ayushman Bharat Health Account (ABHA) ID"),
}
"""fhir.md §3: HIN is the 14-digit number, ABHA the address."""
_INDIA = timezone(timedelta(seconds=IST_OFFSET_S))
_LAST_MS = 1 << 47


class Concept(Struct, frozen=True):
    """A code with its official display."""

    code: str
    display: str
    title: str = ""


class Codes(Struct, frozen=True):
    """``data/fhir.json``."""

    sections: dict[str, Concept]
    snomed: dict[str, Concept]
    loinc: dict[str, Concept]


@cache
def codes() -> Codes:
    return load("fhir", Codes)


def uuid_of(*parts: str) -> str:
    """The UUID of a thing of ours."""
    return str(uuid5(NAMESPACE, "|".join(parts)))


def instant(at_ms: int) -> str:
    """A Unix time in ms as FHIR writes it, in Indian time."""
    at = datetime.fromtimestamp(min(max(at_ms, 0), _LAST_MS) // 1000, UTC).astimezone(_INDIA)
    return at.isoformat()


def resource(kind: str, identity: str, summary: str, **fields: Json) -> Resource:
    """A resource with its profile and a narrative. ``identity``: its UUID. Fields named ``class_`` lose the bar."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(summary.strip() or kind)}</div>'
    profile = "ObservationVitalSigns" if fields.pop("vital", False) else fields.pop("profile", kind)
    head: Resource = {
        "resourceType": kind,
        "id": identity,
        "meta": {"profile": [f"{PROFILES}{profile}"]},
        "text": {"status": "generated", "div": div},
    }
    return head | {name.rstrip("_"): value for name, value in fields.items()}


def ref(one: Resource, **more: Json) -> Resource:
    """A reference within the bundle."""
    return {"reference": f"urn:uuid:{one['id']}", **more}


def coded(system: str, concept: Concept, text: str = "") -> Resource:
    """A CodeableConcept with one code."""
    coding: Resource = {"system": system, "code": concept.code, "display": concept.display}
    named: Resource = {"coding": [coding]}
    return named | ({"text": text} if text else {})


def status_of(name: str, code: str, display: str) -> Resource:
    """A status of a terminology.hl7.org code system."""
    return coded(TERMINOLOGY + name, Concept(code, display))


def identifier(kind: str, value: str, system: str = "") -> Resource:
    """An identifier with its type; no ``system`` where NRCeS publishes none."""
    home, display = IDENTIFIER_TYPES[kind]
    named: Resource = {"type": coded(home, Concept(kind, display)), "value": value}
    return named | ({"system": system} if system else {})


def observation(
    identity: str, name: str, value: Resource, subject: Resource, encounter: Resource, at_ms: int, **more: Json
) -> Resource:
    """Something that was seen or told, named in words. ``value``: one of FHIR's ``value…`` fields, or components."""
    said = next((str(each) for key, each in value.items() if key == "valueString"), "")
    fields: Resource = {
        "status": "final",
        "code": {"text": name},
        "subject": ref(subject),
        "encounter": ref(encounter),
        "effectiveDateTime": instant(at_ms),
    }
    return resource("Observation", identity, f"{name}: {said}" if said else name, **(fields | value | more))


def condition(identity: str, text: str, subject: Resource, encounter: Resource, **more: Json) -> Resource:
    """A complaint, an illness or a diagnosis, in words unless ``more`` brings a ``code``."""
    fields: Resource = {
        "clinicalStatus": status_of("condition-clinical", "active", "Active"),
        "code": {"text": text},
        "subject": ref(subject),
        "encounter": ref(encounter),
    }
    return resource("Condition", identity, text, **(fields | more))


def request(
    identity: str, text: str, subject: Resource, encounter: Resource, requester: Resource, at_ms: int, **more: Json
) -> Resource:
    """A test that is advised, or a referral."""
    fields: Resource = {
        "status": "active",
        "intent": "order",
        "code": {"text": text},
        "subject": ref(subject),
        "encounter": ref(encounter),
        "requester": ref(requester),
        "authoredOn": instant(at_ms),
    }
    return resource("ServiceRequest", identity, text, **(fields | more))
