"""What fhir.md demands of a document, as a list of faults: the cardinalities and codes of its tables, nothing else.

It knows none of our code. It does not check that a SNOMED or LOINC code exists, nor base R4 (``fhir.resources`` parses
that, as R4B, and :mod:`tests.kits.fhir_base` validates it), nor the published profiles themselves: their package is on
no registry.
"""

import re
from collections.abc import Iterator
from typing import Any

Found = dict[str, Any]
BASE = "https://nrces.in/ndhm/fhir/r4/StructureDefinition/"
SNOMED, LOINC, ICD10 = "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/icd-10"
CONSULTATION = ("371530004", "Clinical consultation report")
PRESCRIPTION = ("440545006", "Prescription record")
SECTIONS = {
    ("422843007", "Chief complaint section"): {"Condition"},
    ("425044008", "Physical exam section"): {"Observation"},
    ("722446000", "Allergy record"): {"AllergyIntolerance"},
    ("371529009", "History and physical report"): {"Condition", "Procedure"},
    ("422432008", "Family history section"): {"FamilyMemberHistory"},
    ("721963009", "Order document"): {"ServiceRequest"},
    ("721912009", "Medication summary document"): {"MedicationRequest", "MedicationStatement"},
    ("390906007", "Follow-up encounter"): {"Appointment"},
    ("371525003", "Clinical procedure report"): {"Procedure"},
    ("306206005", "Referral to service"): {"ServiceRequest"},
    ("404684003", "Clinical finding"): {"Observation"},
    CONSULTATION: {"DocumentReference"},
}
IDENTIFIERS = {
    "https://nrces.in/ndhm/fhir/r4/CodeSystem/ndhm-identifier-type-code": {"HIN", "ABHA", "HPID", "HPIN", "PMJAY"},
    "http://terminology.hl7.org/CodeSystem/v2-0203": {"MR", "MD", "PRN"},
}
SYSTEMS = {
    ("Condition", "code"): {ICD10, SNOMED},
    ("Observation", "code"): {LOINC, SNOMED},
    ("MedicationRequest", "medicationCodeableConcept"): {SNOMED},
    ("AllergyIntolerance", "code"): {SNOMED},
    ("ServiceRequest", "code"): {SNOMED},
    ("Appointment", "appointmentType"): {SNOMED},
}
NEEDED = {
    "Patient": ("identifier", "name"),
    "Practitioner": ("identifier", "name"),
    "Organization": ("identifier", "name"),
    "Encounter": ("status", "class"),
    "Condition": ("code", "subject"),
    "MedicationRequest": (
        "medicationCodeableConcept",
        "subject",
        "authoredOn",
        "requester",
        "dosageInstruction",
        "status",
        "intent",
    ),
    "AllergyIntolerance": ("code", "patient"),
    "ServiceRequest": ("requester", "code", "subject"),
    "Appointment": ("start", "end", "status"),
    "Observation": ("status", "code"),
    "Composition": ("status", "type", "subject", "date", "author", "title", "section"),
    "Binary": ("contentType", "data"),
}
_URN = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def faults(bundle: Found) -> list[str]:
    """Everything that is wrong with a document; empty for a good one."""
    return [*_of_the_bundle(bundle), *_of_references(bundle), *_of_the_composition(bundle), *_of_resources(bundle)]


def resources(bundle: Found, kind: str = "") -> list[Found]:
    """The resources of a document, of one kind or all."""
    found = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in found if kind in ("", one["resourceType"])]


def _of_the_bundle(bundle: Found) -> Iterator[str]:
    if bundle["meta"].get("profile") != [BASE + "DocumentBundle"] or not bundle["meta"].get("versionId"):
        yield "bundle: profile or versionId"
    if not (bundle.get("identifier", {}).get("system") and bundle["identifier"].get("value")):
        yield "bundle: identifier"
    if bundle.get("type") != "document" or not bundle.get("timestamp"):
        yield "bundle: type or timestamp"
    if bundle["entry"][0]["resource"]["resourceType"] != "Composition":
        yield "bundle: the composition comes first"


def _of_references(bundle: Found) -> Iterator[str]:
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    if len(set(urls)) != len(urls):
        yield "bundle: a fullUrl stands twice"
    for entry in bundle["entry"]:
        if not _URN.fullmatch(entry["fullUrl"]) or entry["fullUrl"] != f"urn:uuid:{entry['resource']['id']}":
            yield f"bundle: fullUrl {entry['fullUrl']}"
    for where, reference in _walk(bundle["entry"], "reference"):
        if reference not in urls:
            yield f"reference out of the bundle: {where}"


def _walk(part: Any, name: str, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == name:
                yield where, value
            yield from _walk(value, name, f"{where}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _walk(value, name, f"{where}[{number}]")


def _of_the_composition(bundle: Found) -> Iterator[str]:
    one = bundle["entry"][0]["resource"]
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    consultation = one["meta"]["profile"] == [BASE + "OPConsultRecord"]
    if not consultation and one["meta"]["profile"] != [BASE + "PrescriptionRecord"]:
        yield "composition: profile"
    wanted = CONSULTATION if consultation else PRESCRIPTION
    if [_pair(coding) for coding in one["type"]["coding"]] != [wanted]:
        yield "composition: type"
    if kinds.get(one["subject"].get("reference")) != "Patient":
        yield "composition: subject"
    if consultation and kinds.get(one.get("encounter", {}).get("reference")) != "Encounter":
        yield "composition: encounter"
    if not one["author"] or any("reference" not in author for author in one["author"]):
        yield "composition: author"
    if not one["section"] or (not consultation and len(one["section"]) != 1):
        yield "composition: sections"
    for related in one.get("relatesTo", ()):
        if not related.get("code") or not (related.get("targetIdentifier") or related.get("targetReference")):
            yield "composition: relatesTo"
    for section in one["section"]:
        pair = _pair(section["code"]["coding"][0])
        told = [kinds.get(entry["reference"]) for entry in section["entry"]]
        if not told:
            yield f"section {pair}: empty"
        if consultation and not set(told) <= SECTIONS.get(pair, set()):
            yield f"section {pair}: {told}"
        if not consultation:
            named = [entry.get("type") for entry in section["entry"]]
            if pair != PRESCRIPTION or named != told or not set(told) <= {"MedicationRequest", "Binary"}:
                yield f"section {pair}: {named}"
            if told.count("Binary") > 1:
                yield "section: more than one Binary"


def _pair(coding: Found) -> tuple[str, str]:
    return (coding["code"], coding["display"]) if coding["system"] == SNOMED else ("", "")


def _of_resources(bundle: Found) -> Iterator[str]:
    for one in resources(bundle):
        kind = one["resourceType"]
        profile = one["meta"]["profile"][0].removeprefix(BASE)
        if kind != "Composition" and profile not in (kind, "ObservationVitalSigns"):
            yield f"{kind}: profile {profile}"
        yield from (f"{kind}: no {name}" for name in NEEDED[kind] if not one.get(name))
        for where, coding in _walk(one, "coding"):
            for each in coding:
                if not (each.get("system") and each.get("code") and each.get("display")):
                    yield f"{kind}{where}: a coding without system, code or display"
        for (owner, field), systems in SYSTEMS.items():
            said = one.get(field, {}).get("coding", ()) if owner == kind else ()
            if any(coding["system"] not in systems for coding in said):
                yield f"{kind}.{field}: another code system"
            if owner == kind and field in one and not (said or one[field].get("text")):
                yield f"{kind}.{field}: neither code nor text"
        yield from _of_people(kind, one)
        if kind == "MedicationRequest":
            yield from _of_a_medicine(one)
        if kind == "Encounter":
            for each in one.get("diagnosis", ()):
                if _pair(each["use"]["coding"][0])[0] not in ("148006", "39154008"):
                    yield "Encounter.diagnosis.use"


def _of_people(kind: str, one: Found) -> Iterator[str]:
    if kind not in ("Patient", "Practitioner", "Organization"):
        return
    for number in one.get("identifier", ()):
        coding = number.get("type", {}).get("coding", [{}])[0]
        if coding.get("code") not in IDENTIFIERS.get(coding.get("system", ""), set()) or not number.get("value"):
            yield f"{kind}.identifier: type or value"
        if coding.get("code") == "HIN" and not re.fullmatch(r"\d{14}", number["value"]):
            yield "Patient.identifier: HIN is the number of 14 digits"
        if kind == "Organization" and not number.get("system"):
            yield "Organization.identifier: system"
    if kind != "Organization" and any(not name.get("text") for name in one.get("name", ())):
        yield f"{kind}.name.text"
    if any(not telecom.get("value") for telecom in one.get("telecom", ())):
        yield f"{kind}.telecom.value"


def _of_a_medicine(one: Found) -> Iterator[str]:
    if "medicationReference" in one:
        yield "MedicationRequest: a reference in place of a concept"
    for dosage in one["dosageInstruction"]:
        for field in ("route", "method"):
            if any(coding["system"] != SNOMED for coding in dosage.get(field, {}).get("coding", ())):
                yield f"MedicationRequest.dosageInstruction.{field}"
        for extra in dosage.get("additionalInstruction", ()):
            if any(coding["system"] != SNOMED for coding in extra.get("coding", ())):
                yield "MedicationRequest.dosageInstruction.additionalInstruction"
