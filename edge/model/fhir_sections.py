"""What a visit says, section by section of an OPConsultRecord (fhir.md §2). Pure."""

from collections.abc import Sequence
from datetime import date
from math import isfinite

from .doses import dose_line, frequencies
from .fhir_page import Page
from .fhir_parts import (
    ICD10,
    LOINC,
    SNOMED,
    Concept,
    Json,
    Resource,
    coded,
    codes,
    condition,
    instant,
    observation,
    ref,
    request,
    resource,
    status_of,
    uuid_of,
)
from .fold import Visit, VitalsRound
from .prescription import PrescriptionRecord
from .records import Complaint, MedicineLine, Reading, Referral, Vitals
from .reference import VitalItem, reference, vitals_data
from .standing import Standing, Stands
from .vitals import derived_bmi

PRIORITY = {"now": "stat", "today": "urgent", "week": "routine"}
OPENS, CLOSES = "09:00:00+05:30", "16:00:00+05:30"
"""A follow-up is on a day, a FHIR appointment at an hour: the hours in which doctors sit by default."""
_UNSOURCED = "unsourced"
_UNITS = {"Cel": "°C", "mm[Hg]": "mmHg", "{score}": ""}
_LAST_MS = 1 << 47
_IN_THE_SET = frozenset({"panel", "hr", "rr", "spo2", "temp_c"})
"""What ObservationVitalSigns is bound to (fhir.md §1), and temperature as the IG's examples have it."""


def complaints(page: Page) -> None:
    """Complaints, in words: their SNOMED codes are unverified (forms.md §6)."""
    for number, complaint in enumerate(page.visit.complaints):
        identity = uuid_of("complaint", page.visit.visit_id, str(number), complaint.code)
        text, since = _complaint_text(complaint), _since(complaint)
        more: Resource = {"onsetString": since} if since else {}
        page.add("complaints", condition(identity, text, page.patient, page.encounter, **more))
    page.tell("other", "Complaint notes", page.visit.complaint_notes, page.visit.opened_ms)


def _complaint_text(complaint: Complaint) -> str:
    name = next((item.en for item in reference().complaints if item.id == complaint.code), complaint.code)
    return complaint.text.strip() or name


def _since(complaint: Complaint) -> str:
    if not complaint.duration or not complaint.duration_unit:
        return ""
    return f"{complaint.duration} {complaint.duration_unit}{'' if complaint.duration == 1 else 's'}"


def examination(page: Page, records: Sequence[PrescriptionRecord]) -> None:
    """Every measurement of every round, consciousness, danger signs, and what the doctor found."""
    visit = page.visit
    known: dict[str, Reading] = {}
    for number, taken in enumerate(visit.vitals):
        _round(page, number, taken, known)
    signs = {item.id: item.en for item in reference().signs}
    page.tell("other", "Danger signs", ", ".join(signs.get(one, one) for one in visit.signs_present), visit.opened_ms)
    for record in records:
        page.tell("examination", "Findings", record.findings, record.signed_ms, record.prescription_id)


def _round(page: Page, number: int, taken: VitalsRound, known: dict[str, Reading]) -> None:
    """``known``: the newest reading of each vital in the rounds before; those of this one are added."""
    items = {item.id: item for item in vitals_data().items}
    # A hub folds what a node says; only the node's own commands were checked against the limits.
    readings = {one.vital: one for one in taken.vitals.readings if one.vital in items and _possible(one, items)}
    upper, lower = readings.get("sbp"), readings.get("dbp")
    if upper is not None and lower is not None:
        parts: list[Json] = [
            {"code": coded(LOINC, codes().loinc[one.vital]), "valueQuantity": _quantity(one.value, items[one.vital])}
            for one in (upper, lower)
        ]
        _measured(page, number, "panel", "Blood pressure", {"component": parts}, _time_of(upper, taken))
        del readings["sbp"], readings["dbp"]
    for vital, one in readings.items():
        value: Resource = {"valueQuantity": _quantity(one.value, items[vital])}
        _measured(page, number, vital, items[vital].en, value, _time_of(one, taken))
    known |= readings
    weight, height = known.get("weight_kg"), known.get("height_cm")
    taken_now = "weight_kg" in readings or "height_cm" in readings
    bmi = derived_bmi(Vitals((weight, height))) if taken_now and weight and height else None
    if bmi is not None:
        _measured(page, number, "bmi", "BMI", {"valueQuantity": _quantity(bmi, items["bmi"])}, taken.at_ms)
    words = {item.code: item.en for item in vitals_data().avpu.items}
    if taken.vitals.avpu:
        page.tell("examination", "Consciousness", words[taken.vitals.avpu], taken.at_ms, str(number))


def _possible(reading: Reading, items: dict[str, VitalItem]) -> bool:
    item = items[reading.vital]
    return isfinite(reading.value) and item.hard_low <= reading.value <= item.hard_high


def _measured(page: Page, number: int, vital: str, name: str, value: Resource, at_ms: int) -> None:
    known = codes().loinc.get(vital)
    more: Resource = {"code": coded(LOINC, known, name)} if known else {}
    category = status_of("observation-category", "vital-signs", "Vital Signs")
    identity = uuid_of("vital", page.visit.visit_id, str(number), vital)
    page.add(
        "examination",
        observation(
            identity,
            name,
            value,
            page.patient,
            page.encounter,
            at_ms,
            category=[category],
            vital=vital in _IN_THE_SET,
            **more,
        ),
    )


def _time_of(reading: Reading, taken: VitalsRound) -> int:
    return reading.measured_ms if 0 < reading.measured_ms < _LAST_MS else taken.at_ms


def _quantity(value: float, item: VitalItem) -> Resource:
    unit = _UNITS.get(item.unit, item.unit)
    number: Resource = {"value": value, "system": "http://unitsofmeasure.org", "code": item.unit}
    return number | ({"unit": unit} if unit else {})


def allergies(page: Page, author: Resource) -> None:
    """Named allergies, or that none is known; nothing when nobody asked."""
    told = page.visit.allergies
    if told is None:
        return
    clinical: Resource = {"clinicalStatus": status_of("allergyintolerance-clinical", "active", "Active")}
    none = codes().snomed["no_known_allergy"]
    named: list[tuple[str, Resource]] = [(item.strip(), {"text": item.strip()}) for item in told.items if item.strip()]
    if told.none_known and not named:
        named = [(none.display, coded(SNOMED, none, none.display))]
    for number, (text, code) in enumerate(named):
        identity = uuid_of("allergy", page.visit.visit_id, str(number))
        patient, recorder = ref(page.patient), ref(page.worker or author)
        one = resource("AllergyIntolerance", identity, text, code=code, patient=patient, recorder=recorder, **clinical)
        page.add("allergies", one)


def diagnoses(
    visit: Visit, patient: Resource, records: Sequence[PrescriptionRecord]
) -> tuple[list[Json], list[Resource]]:
    """What the encounter says of each diagnosis that stands, and the conditions. ICD-10 only with a sourced title."""
    uses: list[Json] = []
    found: list[Resource] = []
    titles = {item.code: item for item in reference().diagnoses}
    for record in records:
        text = record.diagnosis.strip() or record.diagnosis_code
        if not text:
            continue
        title = titles.get(record.diagnosis_code)
        code: Resource = {"text": f"{text} (ICD-10 {record.diagnosis_code})" if record.diagnosis_code else text}
        if title is not None and not title.title_status.startswith(_UNSOURCED):
            code = coded(ICD10, Concept(title.code, title.title), text)
        sure = ("provisional", "Provisional") if record.provisional else ("confirmed", "Confirmed")
        identity = uuid_of("diagnosis", visit.visit_id, record.prescription_id)
        verified = status_of("condition-ver-status", *sure)
        one = condition(identity, text, patient, {"id": uuid_of("visit", visit.visit_id)}, code=code)
        one["verificationStatus"] = verified
        use = codes().snomed["preliminary" if record.provisional else "clinical"]
        uses.append({"condition": ref(one), "use": coded(SNOMED, use)})
        found.append(one)
    return uses, found


def history(page: Page) -> None:
    """Illnesses that were answered yes, and what was told besides."""
    told, visit = page.visit.history, page.visit
    if told is None:
        return
    names = {item.id: item.en for item in reference().conditions}
    for code in told.conditions:
        identity = uuid_of("history", visit.visit_id, code)
        page.add("history", condition(identity, names.get(code, code), page.patient, page.encounter))
    at_ms = visit.opened_ms
    page.tell("other", "Medicines taken", told.medicines, at_ms)
    page.tell("other", "History", told.notes, at_ms)
    weeks = f", {told.weeks_pregnant} weeks" if told.pregnant and told.weeks_pregnant is not None else ""
    for name, answer in (("Pregnant", told.pregnant), ("Delivered in the last 42 days", told.post_partum)):
        if answer is not None:
            page.tell("other", name, f"{'yes' if answer else 'no'}{weeks if name == 'Pregnant' else ''}", at_ms)
    page.tell("other", "Last period", told.lmp_date, at_ms)


def advised(page: Page, record: PrescriptionRecord, doctor: Resource) -> None:
    """Tests, advice, follow-up and referral of one prescription."""
    key = record.prescription_id
    for number, test in enumerate(record.tests):
        if test.strip():
            identity = uuid_of("test", key, str(number))
            page.add(
                "investigations",
                request(identity, test.strip(), page.patient, page.encounter, doctor, record.signed_ms),
            )
    page.tell("other", "Advice", record.advice, record.signed_ms, key)
    if _is_day(record.follow_up_date):
        visit_kind = codes().snomed["follow_up_visit"]
        people: list[Json] = [{"actor": ref(one), "status": "needs-action"} for one in (page.patient, doctor)]
        page.add(
            "follow_up",
            resource(
                "Appointment",
                uuid_of("follow-up", key),
                f"Follow-up on {record.follow_up_date}",
                status="proposed",
                appointmentType=coded(SNOMED, visit_kind),
                description="On this day; no hour was set.",
                start=f"{record.follow_up_date}T{OPENS}",
                end=f"{record.follow_up_date}T{CLOSES}",
                participant=people,
            ),
        )
    if record.referral is not None:
        page.add("referral", referral(page, record.referral, doctor, record.signed_ms, key))


def _is_day(text: str) -> bool:
    try:
        return bool(text) and date.fromisoformat(text) is not None
    except ValueError:
        return False


def referral(page: Page, to: Referral, by: Resource, at_ms: int, *key: str) -> Resource:
    """Sent on to a place with more means."""
    text = f"Referral: {to.to}" + (f" - {to.reason.strip()}" if to.reason.strip() else "")
    identity = uuid_of("referral", page.visit.visit_id, *key)
    return request(identity, text, page.patient, page.encounter, by, at_ms, priority=PRIORITY[to.urgency])


def medicine(page: Page, record: PrescriptionRecord, stands: Stands, out: bool, number: int) -> Resource:
    """One line of a prescription. Taken back: stopped once the paper or the medicine was out, else cancelled."""
    line = record.medicines[number]
    text = " ".join(part for part in (line.generic, line.strength, line.form) if part.strip())
    taken_back = stands.standing is not Standing.VALID
    reason: Resource = {}
    if taken_back:
        reason = {"statusReason": {"text": f"Prescription {stands.standing.value}"}}
    dose = _dosage(line)
    return resource(
        "MedicationRequest",
        uuid_of("medicine", record.prescription_id, str(number)),
        f"{text}: {dose['text']}",
        status="active" if not taken_back else "stopped" if out else "cancelled",
        intent="order",
        medicationCodeableConcept={"text": text},
        subject=ref(page.patient),
        encounter=ref(page.encounter),
        authoredOn=instant(record.signed_ms),
        requester=ref(page.doctor(record)),
        dosageInstruction=[dose],
        **reason,
    )


def _dosage(line: MedicineLine) -> Resource:
    words = " - ".join(part for part in (dose_line(line, "en"), line.instructions.strip()) if part)
    known, food = codes().snomed.get(line.route), codes().snomed.get(line.food)
    route: Resource = {"route": coded(SNOMED, known)} if known else {"route": {"text": line.route}}
    times = frequencies().get(line.frequency)
    repeat: Resource = {
        "boundsDuration": {
            "value": line.duration_days,
            "unit": "days",
            "system": "http://unitsofmeasure.org",
            "code": "d",
        }
    }
    if times is not None and times.per_day:
        repeat |= {"frequency": times.per_day, "period": 1, "periodUnit": "d"}
    more: Resource = {"additionalInstruction": [coded(SNOMED, food)]} if food else {}
    if line.frequency == "SOS":
        more["asNeededBoolean"] = True
    return {
        "sequence": 1,
        "text": words,
        "patientInstruction": dose_line(line, "hi"),
        "timing": {"repeat": repeat},
        **route,
        **more,
    }
