"""One FHIR document while it is being put together: its resources, each once, its sections, its encounter. Pure."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec import Struct

from .fhir_parts import (
    OURS,
    PROFILES,
    SNOMED,
    TERMINOLOGY,
    Json,
    Resource,
    coded,
    codes,
    instant,
    observation,
    ref,
    resource,
    uuid_of,
)
from .fhir_people import doctor_of, patient_of, site_of, worker_of
from .fold import Patient, Visit
from .prescription import PrescriptionRecord, Site

_encode = msgspec.json.Encoder(order="deterministic").encode


class Kind(StrEnum):
    """The two profiles of a visit."""

    CONSULTATION = "OPConsultRecord"
    PRESCRIPTION = "PrescriptionRecord"


class Document(Struct, frozen=True):
    """One document, ready to be sent."""

    kind: Kind
    document_id: str
    """UUID of the Bundle: another content has another one."""
    subject_id: str
    """The visit's or the prescription's id."""
    content: bytes
    """JSON."""


class Origin(Struct, frozen=True):
    """Where the visit was, and who there opened it. ``worker_name`` empty: nobody; the patient spoke for herself."""

    site: Site
    worker_name: str = ""
    demo: bool = False
    """Made-up patients: the documents say so."""


class Page:
    """The resources of one document, each once, and the sections that name them."""

    def __init__(self, visit: Visit, patient: Patient, origin: Origin, at_ms: int) -> None:
        self.visit, self.origin, self.at_ms = visit, origin, at_ms
        self.patient = patient_of(patient, at_ms)
        self.site = site_of(origin.site)
        self._made: dict[str, Resource] = {}
        self._sections: dict[str, list[Json]] = {}
        self.worker = self._put(worker_of(visit.opened_by, origin.worker_name)) if origin.worker_name else None
        self.encounter: Resource = {}

    def _put(self, one: Resource) -> Resource:
        return self._made.setdefault(str(one["id"]), one)

    def doctor(self, record: PrescriptionRecord) -> Resource:
        """Whoever signed."""
        return self._put(doctor_of(record.doctor_id, record.doctor_name, record.registration, record.qualification))

    def seen_by(self) -> Resource | None:
        """The doctor to whom the visit was given, where nothing was signed."""
        visit = self.visit
        return self._put(doctor_of(visit.doctor_id, visit.doctor_name, "", "")) if visit.doctor_id else None

    def meet(self, people: Iterable[Resource], end_ms: int, diagnoses: list[Json] | None = None) -> None:
        """Make the encounter, to which the rest refers."""
        visit = self.visit
        # A tablet's clock may be behind the hub's: an end never lies before its beginning.
        period: Resource = {"start": instant(visit.opened_ms), "end": instant(max(end_ms, visit.opened_ms))}
        self.encounter = resource(
            "Encounter",
            uuid_of("visit", visit.visit_id),
            "Teleconsultation",
            identifier=[{"system": f"{OURS}visit", "value": visit.visit_id}],
            status="finished",
            class_={"system": f"{TERMINOLOGY}v3-ActCode", "code": "VR", "display": "virtual"},
            subject=ref(self.patient),
            participant=[{"individual": ref(one)} for one in people],
            period=period,
            serviceProvider=ref(self.site),
            **({"diagnosis": diagnoses} if diagnoses else {}),
        )

    def add(self, section: str, one: Resource, **more: Json) -> Resource:
        """A resource into a section."""
        self._sections.setdefault(section, []).append(ref(one, **more))
        return self._put(one)

    def tell(self, section: str, name: str, text: str, at_ms: int, *key: str) -> None:
        """Something in words; nothing for an empty text."""
        if text.strip():
            identity = uuid_of("told", self.visit.visit_id, name, *key)
            value: Resource = {"valueString": text.strip()}
            self.add(section, observation(identity, name, value, self.patient, self.encounter, at_ms))

    def bundle(self, kind: Kind, subject_id: str, title: str, status: str, author: Resource, **more: Json) -> Document:
        """The document."""
        home = "consultation" if kind is Kind.CONSULTATION else "prescription"
        what = codes().sections[home]
        said = [name for name in codes().sections if name in self._sections]
        sections: list[Json] = [
            {
                "title": codes().sections[name].title,
                "code": coded(SNOMED, codes().sections[name]),
                "entry": self._sections[name],
            }
            for name in said
        ]
        composition = resource(
            "Composition",
            uuid_of("composition", kind, subject_id),
            title,
            profile=kind.value,
            language="en-IN",
            identifier={"system": f"{OURS}document", "value": uuid_of("composition", kind, subject_id)},
            status=status,
            type=coded(SNOMED, what, what.display),
            subject=ref(self.patient),
            encounter=ref(self.encounter),
            date=instant(self.at_ms),
            author=[ref(author)],
            title=what.title,
            custodian=ref(self.site),
            section=sections,
            **more,
        )
        inside = [composition, self.patient, *self._made.values(), self.site, self.encounter]
        entries: list[Json] = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in inside]
        meta: Resource = {
            "versionId": "1",
            "lastUpdated": instant(self.at_ms),
            "profile": [f"{PROFILES}DocumentBundle"],
            "security": [
                {"system": f"{TERMINOLOGY}v3-Confidentiality", "code": "V", "display": "very restricted"},
                *self._test_mark(),
            ],
        }
        whole: Resource = {
            "resourceType": "Bundle",
            "type": "document",
            "meta": meta,
            "timestamp": instant(self.at_ms),
            "entry": entries,
        }
        document_id = uuid_of("document", _encode(whole).decode())
        named = {"id": document_id, "identifier": {"system": f"{OURS}document", "value": document_id}}
        return Document(kind, document_id, subject_id, _encode(whole | named))

    def has_sections(self) -> bool:
        """Whether anything was said."""
        return bool(self._sections)

    def _test_mark(self) -> list[Json]:
        mark: Resource = {"system": f"{TERMINOLOGY}v3-ActReason", "code": "HTEST", "display": "test health data"}
        return [mark] if self.origin.demo else []
