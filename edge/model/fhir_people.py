"""Who and where in FHIR documents: patient, doctor, health worker, centre. Pure."""

from .age import age_text, birth_day
from .fhir_parts import OURS, Json, Resource, identifier, resource, uuid_of
from .fold import Patient
from .prescription import Site
from .records import Person


def patient_of(patient: Patient, at_ms: int) -> Resource:
    """The patient. An age that was only told stays in the narrative: no birth date is made of it."""
    person = patient.person
    age = age_text(person, patient.registered_ms, at_ms)
    numbers: list[Json] = [identifier("MR", patient.local_id or patient.patient_id, f"{OURS}patient")]
    if person.abha_number:
        numbers.append(identifier("HIN", person.abha_number))
    if person.abha_address.strip():
        numbers.append(identifier("ABHA", person.abha_address.strip()))
    return resource(
        "Patient",
        uuid_of("patient", patient.patient_id),
        ", ".join(part for part in (person.name, person.gender.value, age, person.village) if part.strip()),
        identifier=numbers,
        name=[{"text": person.name}],
        gender=person.gender.value,
        **_known(person),
    )


def _known(person: Person) -> Resource:
    known: Resource = {}
    if birth_day(person.birth_date) is not None:
        known["birthDate"] = person.birth_date
    if person.mobile:
        known["telecom"] = [{"system": "phone", "value": f"+91{person.mobile}", "use": "mobile"}]
    if person.village.strip():
        known["address"] = [{"use": "home", "city": person.village.strip(), "country": "IN"}]
    return known


def doctor_of(doctor_id: str, name: str, registration: str, qualification: str) -> Resource:
    """A doctor, by the registration where a signed record tells it."""
    number = identifier("MD", registration) if registration.strip() else identifier("PRN", doctor_id, f"{OURS}staff")
    more: Resource = {"qualification": [{"code": {"text": qualification.strip()}}]} if qualification.strip() else {}
    return resource(
        "Practitioner",
        uuid_of("doctor", doctor_id, registration),
        f"{name or doctor_id} {qualification}",
        identifier=[number],
        name=[{"text": name.strip() or doctor_id}],
        **more,
    )


def worker_of(worker_id: str, name: str) -> Resource:
    """The health worker who opened the visit."""
    return resource(
        "Practitioner",
        uuid_of("worker", worker_id),
        name,
        identifier=[identifier("PRN", worker_id or name, f"{OURS}staff")],
        name=[{"text": name.strip()}],
    )


def site_of(site: Site) -> Resource:
    """The centre."""
    return resource(
        "Organization",
        uuid_of("site", site.code),
        site.name or site.code,
        identifier=[identifier("PRN", site.code or "unknown", f"{OURS}site")],
        name=site.name.strip() or site.code or "unknown",
    )
