"""Golden set of the triage rules. Numbers and signs are written out here from triage.md, not read from the data."""

import pytest

from edge.model.age import age_days
from edge.model.fold import VitalsRound
from edge.model.records import Age, AgeUnit, Colour, Complaint, Gender, History, Person, Reading, TriageResult, Vitals
from edge.model.reference import reference
from edge.model.triage import latest_vitals, signs_to_ask, triage
from edge.model.triage_rules import Condition, Rule, rules
from tests.model.kit import ADULT, NORMAL, adult_vitals, nothing_present, readings

RED, YELLOW, GREEN, NONE = Colour.RED, Colour.YELLOW, Colour.GREEN, Colour.NOT_TRIAGED
MALE, FEMALE = Gender.MALE, Gender.FEMALE
PREGNANT = History(pregnant=True)
NOT_PREGNANT = History(pregnant=False, post_partum=False)
POST_PARTUM = History(pregnant=False, post_partum=True)
M11, M12 = 340, 366
"""Days of a child of 11 and of 12 months."""


def asked(
    days: int | None = ADULT,
    *present: str,
    gender: Gender = MALE,
    history: History | None = None,
    complaints: tuple[Complaint, ...] = (),
    vitals: Vitals | None = None,
) -> TriageResult:
    """Triage of somebody whose other danger signs were all asked and absent."""
    measured = vitals if vitals is not None else adult_vitals()
    absent = () if days is None else nothing_present(days, gender, history, measured)
    absent = tuple(sign for sign in absent if sign not in present)
    return triage(days, gender, history, complaints, measured, present, absent)


def child_vitals(days: int, **changed: float) -> Vitals:
    """Vitals inside the band of a child's age."""
    hr, rr = (120.0, 40.0) if days < 365 else (110.0, 30.0) if days < 1825 else (100.0, 20.0)
    return Vitals(readings(**{"hr": hr, "rr": rr, "temp_c": 37.0, "spo2": 98.0, **changed}), "A")


@pytest.mark.parametrize(
    ("changed", "colour", "code"),
    [
        ({"hr": 150}, YELLOW, "HIGH-HR"),
        ({"hr": 151}, RED, "A-R-HR"),
        ({"hr": 50}, YELLOW, "HIGH-HR"),
        ({"hr": 49}, RED, "A-R-HR"),
        ({"hr": 60}, GREEN, ""),
        ({"hr": 59}, YELLOW, "HIGH-HR"),
        ({"rr": 31}, YELLOW, "HIGH-RR"),
        ({"rr": 10}, GREEN, ""),
        ({"spo2": 91}, YELLOW, "HIGH-SPO2"),
        ({"temp_c": 39.0}, GREEN, ""),
        ({"temp_c": 39.1}, YELLOW, "HIGH-TEMP"),
        ({"temp_c": 36.0}, GREEN, ""),
        ({"temp_c": 35.9}, YELLOW, "HIGH-TEMP"),
        ({"rbs_mgdl": 53}, RED, "A-R-HYPO"),
        ({"rbs_mgdl": 54}, YELLOW, "NCD-Y-LOW-SUGAR"),
        ({"rbs_mgdl": 70}, GREEN, ""),
        ({"rbs_mgdl": 300}, GREEN, ""),
        ({"rbs_mgdl": 301}, YELLOW, "NCD-Y-SUGAR"),
        ({"sbp": 179, "dbp": 109}, GREEN, ""),
        ({"sbp": 180, "dbp": 90}, YELLOW, "NCD-Y-BP"),
        ({"sbp": 170, "dbp": 110}, YELLOW, "NCD-Y-BP"),
    ],
)
def test_adult_boundaries_of_vital_signs(changed: dict[str, float], colour: Colour, code: str) -> None:
    result = asked(vitals=adult_vitals(**changed))
    assert result.colour is colour
    assert not code or code in result.reasons


@pytest.mark.parametrize("changed", [{"rr": 30.0}, {"spo2": 92.0}, {"hr": 130.0}])
def test_a_band_edge_is_not_high_risk_itself(changed: dict[str, float]) -> None:
    result = asked(vitals=adult_vitals(**changed))
    assert not any(code.startswith("HIGH-") for code in result.reasons)


@pytest.mark.parametrize(
    ("days", "low_hr", "high_hr", "low_rr", "high_rr"),
    [
        (30, 90, 180, 25, 50),
        (364, 90, 180, 25, 50),
        (365, 80, 160, 20, 40),
        (1824, 80, 160, 20, 40),
        (1825, 70, 140, 10, 30),
        (4382, 70, 140, 10, 30),
        (4383, 60, 130, 10, 30),
    ],
)
def test_high_risk_bands_change_at_their_ages(days: int, low_hr: int, high_hr: int, low_rr: int, high_rr: int) -> None:
    def codes(**changed: float) -> tuple[str, ...]:
        return asked(days, vitals=child_vitals(days, **changed)).reasons

    assert "HIGH-HR" not in codes(hr=low_hr) and "HIGH-HR" in codes(hr=low_hr - 1)
    assert "HIGH-HR" not in codes(hr=high_hr) and "HIGH-HR" in codes(hr=high_hr + 1)
    assert "HIGH-RR" not in codes(rr=low_rr) and "HIGH-RR" in codes(rr=low_rr - 1)
    assert "HIGH-RR" not in codes(rr=high_rr) and "HIGH-RR" in codes(rr=high_rr + 1)


def test_a_child_has_no_red_for_heart_rate() -> None:
    assert "A-R-HR" not in asked(4382, vitals=child_vitals(4382, hr=200)).reasons
    assert "A-R-HR" in asked(4383, vitals=child_vitals(4383, hr=200)).reasons


@pytest.mark.parametrize(("avpu", "colour"), [("A", GREEN), ("C", YELLOW), ("V", YELLOW), ("P", YELLOW), ("U", RED)])
def test_anything_but_alert_raises(avpu: str, colour: Colour) -> None:
    assert asked(vitals=adult_vitals(avpu)).colour is colour


@pytest.mark.parametrize(
    ("days", "colour", "code"),
    [
        (0, RED, "C-R-LT8D"),
        (7, RED, "C-R-LT8D"),
        (8, YELLOW, "C-Y-INFANT"),
        (190, YELLOW, "C-Y-INFANT"),
        (214, GREEN, ""),
    ],
)
def test_infants_by_age(days: int, colour: Colour, code: str) -> None:
    result = asked(days, vitals=child_vitals(days))
    assert result.colour is colour
    assert not code or code in result.reasons


@pytest.mark.parametrize(
    ("days", "temp_c", "code"),
    [(59, 35.9, "C-R-LT2M-T"), (59, 39.1, "C-R-LT2M-T"), (59, 37.5, "N-R-TEMP"), (59, 35.4, "N-R-TEMP")],
)
def test_a_young_infant_with_a_wrong_temperature_is_red(days: int, temp_c: float, code: str) -> None:
    assert code in asked(days, vitals=child_vitals(days, temp_c=temp_c)).reasons
    assert asked(days, vitals=child_vitals(days, temp_c=temp_c)).colour is RED
    assert asked(60, vitals=child_vitals(60, temp_c=temp_c)).colour is YELLOW


def test_37_4_degrees_is_no_alarm_in_a_young_infant() -> None:
    assert "N-R-TEMP" not in asked(30, vitals=child_vitals(30, temp_c=37.4)).reasons


@pytest.mark.parametrize(
    ("days", "rr", "fast"),
    [
        (M11, 50, True),
        (M11, 49, False),
        (M12, 40, True),
        (M12, 39, False),
        (60, 50, True),
        (1824, 40, True),
        (1825, 40, False),
    ],
)
def test_fast_breathing_with_cough_by_age(days: int, rr: float, fast: bool) -> None:
    result = asked(days, complaints=(Complaint("cough"),), vitals=child_vitals(days, rr=rr))
    assert ("I-Y-FAST" in result.reasons) is fast
    if fast:
        assert "HIGH-RR" not in result.reasons, "the edge itself is not high-risk"


@pytest.mark.parametrize(("rr", "red"), [(59, False), (60, True)])
def test_sixty_breaths_are_red_below_two_months(rr: float, red: bool) -> None:
    assert ("N-R-FAST" in asked(40, vitals=child_vitals(40, rr=rr)).reasons) is red


@pytest.mark.parametrize(
    ("history", "sbp", "dbp", "colour", "code"),
    [
        (PREGNANT, 159, 109, YELLOW, "M-Y-BP"),
        (PREGNANT, 160, 90, RED, "A-R-PREG-BP"),
        (PREGNANT, 120, 110, RED, "A-R-PREG-BP"),
        (PREGNANT, 140, 80, YELLOW, "M-Y-BP"),
        (PREGNANT, 130, 90, YELLOW, "M-Y-BP"),
        (PREGNANT, 139, 89, GREEN, ""),
        (POST_PARTUM, 160, 90, RED, "M-R-BP"),
        (POST_PARTUM, 140, 80, YELLOW, "M-Y-BP"),
        (NOT_PREGNANT, 160, 90, GREEN, ""),
    ],
)
def test_blood_pressure_of_mothers(history: History, sbp: float, dbp: float, colour: Colour, code: str) -> None:
    result = asked(gender=FEMALE, history=history, vitals=adult_vitals(sbp=sbp, dbp=dbp))
    assert result.colour is colour
    assert not code or code in result.reasons


@pytest.mark.parametrize(
    ("hb", "signs", "colour"),
    [
        (11, (), GREEN),
        (10.9, (), YELLOW),
        (6.9, (), YELLOW),
        (6.9, ("anaemia_symptoms",), RED),
        (7, ("anaemia_symptoms",), YELLOW),
    ],
)
def test_haemoglobin_in_pregnancy(hb: float, signs: tuple[str, ...], colour: Colour) -> None:
    vitals = adult_vitals(hb_gdl=hb)
    assert asked(ADULT, *signs, gender=FEMALE, history=PREGNANT, vitals=vitals).colour is colour


@pytest.mark.parametrize(("muac", "colour"), [(11.4, RED), (11.5, YELLOW), (12.4, YELLOW), (12.5, GREEN)])
def test_arm_circumference_of_a_small_child(muac: float, colour: Colour) -> None:
    assert asked(700, vitals=child_vitals(700, muac_cm=muac)).colour is colour


ADULT_RED = (
    "unresponsive stridor respiratory_distress central_cyanosis crt_over_3s weak_fast_pulse heavy_bleeding "
    "convulsing_now hypoglycaemia high_risk_trauma poisoning threatened_limb snake_bite ecg_ischaemia violent"
)
CHILD_RED = (
    "unresponsive stridor respiratory_distress central_cyanosis crt_over_3s weak_fast_pulse heavy_bleeding "
    "cold_extremities convulsing_now hypoglycaemia high_risk_trauma threatened_limb acute_testicular_pain snake_bite "
    "poisoning"
)
ADULT_YELLOW = (
    "mouth_throat_neck_swelling wheeze vomits_everything ongoing_diarrhoea unable_to_feed_or_drink severe_pallor "
    "ongoing_bleeding recent_fainting altered_mental_state agitation acute_general_weakness acute_focal_neuro "
    "acute_visual_disturbance severe_pain rash_worsening_or_peeling limb_deformity open_fracture suspected_dislocation "
    "other_trauma_or_burn urgent_surgical_diagnosis sexual_assault acute_testicular_pain unable_to_pass_urine "
    "animal_bite_or_needlestick"
)
CHILD_YELLOW = (
    "mouth_throat_neck_swelling wheeze unable_to_feed_or_drink vomits_everything ongoing_diarrhoea dehydration "
    "severe_pallor restless_irritable_lethargic severe_pain severe_wasting_or_bilateral_oedema trauma_or_burn "
    "sexual_assault urgent_surgical_diagnosis rash_worsening_or_peeling animal_bite_or_needlestick headache"
)
PREGNANT_RED = (
    "heavy_bleeding severe_abdominal_pain seizure altered_mental_state severe_headache visual_changes "
    "active_labour trauma vaginal_bleeding convulsion_or_unconscious breathing_difficulty "
    "fever_with_chills_or_foul_discharge waters_broken_early reduced_fetal_movement labour_early_or_long"
)
IMNCI_RED = (
    "not_able_to_drink_or_breastfeed vomits_everything convulsions_this_illness lethargic_or_unconscious "
    "chest_indrawing severe_pallor severe_wasting_or_bilateral_oedema"
)
YOUNG_INFANT_RED = (
    "not_feeding_well convulsions severe_chest_indrawing moves_only_when_stimulated yellow_palms_soles "
    "jaundice_first_24h"
)


@pytest.mark.parametrize(
    ("days", "history", "signs", "colour"),
    [
        (ADULT, None, ADULT_RED, RED),
        (2500, None, CHILD_RED, RED),
        (ADULT, None, ADULT_YELLOW, YELLOW),
        (2500, None, CHILD_YELLOW, YELLOW),
        (ADULT, PREGNANT, PREGNANT_RED, RED),
        (4000, PREGNANT, "heavy_bleeding severe_headache trauma active_labour", RED),
        (ADULT, PREGNANT, "pregnancy_referred face_or_hand_swelling urine_protein twins previous_caesarean", YELLOW),
        (700, None, IMNCI_RED, RED),
        (700, None, "some_pallor", YELLOW),
        (30, None, YOUNG_INFANT_RED, RED),
        (30, None, "umbilicus_red_or_pus skin_pustules jaundice_after_24h", YELLOW),
        (ADULT, None, "focal_neuro_under_24h", RED),
    ],
)
def test_each_sign_of_the_charts_alone_gives_its_colour(
    days: int, history: History | None, signs: str, colour: Colour
) -> None:
    gender = FEMALE if history else MALE
    vitals = adult_vitals() if days >= 4383 else child_vitals(days)
    for sign in signs.split():
        result = asked(days, sign, gender=gender, history=history, vitals=vitals)
        assert result.colour is colour, sign


@pytest.mark.parametrize(
    ("present", "colour"),
    [
        (("stiff_neck",), GREEN),
        (("headache",), GREEN),
        (("fever_or_hypothermia",), GREEN),
        (("stiff_neck", "headache"), RED),
        (("headache", "fever_or_hypothermia"), RED),
        (("altered_mental_state", "headache"), RED),
    ],
)
def test_two_of_the_neurological_signs_make_an_adult_red(present: tuple[str, ...], colour: Colour) -> None:
    assert asked(ADULT, *present).colour is colour


def test_a_measured_fever_counts_with_a_headache() -> None:
    assert "A-R-NEURO2" in asked(complaints=(Complaint("headache"),), vitals=adult_vitals(temp_c=39.5)).reasons


def test_a_child_needs_altered_mind_and_another_sign() -> None:
    days, vitals = 2500, child_vitals(2500)
    assert asked(days, "stiff_neck", "fever_or_hypothermia", vitals=vitals).colour is GREEN
    assert asked(days, "altered_mental_state", "stiff_neck", vitals=vitals).colour is RED
    assert asked(days, "altered_mental_state", "fever_or_hypothermia", vitals=vitals).colour is RED


def test_two_signs_of_water_loss_make_a_child_red_and_one_does_not() -> None:
    days, vitals = 2500, child_vitals(2500)
    assert asked(days, "sunken_eyes", vitals=vitals).colour is GREEN
    assert asked(days, "sunken_eyes", "drinks_poorly", vitals=vitals).colour is RED


@pytest.mark.parametrize(("days", "colour"), [(18263, GREEN), (18264, RED)])
def test_acute_chest_pain_is_red_after_fifty(days: int, colour: Colour) -> None:
    assert asked(days, "acute_chest_pain").colour is colour


def test_chest_pain_with_sweating_is_red_at_any_adult_age_by_the_local_rule() -> None:
    assert asked(ADULT, "acute_chest_pain").colour is GREEN
    result = asked(ADULT, "acute_chest_pain", "sweating")
    assert result.colour is RED and "LOCAL-CHEST" in result.reasons


@pytest.mark.parametrize(
    ("complaint", "code"),
    [
        (Complaint("fever", duration=2), "I-Y-FEVER"),
        (Complaint("fever", duration=7), "I-Y-FEVER7"),
        (Complaint("fever", duration=1, duration_unit="week"), "I-Y-FEVER7"),
        (Complaint("loose_motion", duration=14), "I-Y-DIARR14"),
        (Complaint("blood_stool"), "I-Y-DYSENTERY"),
        (Complaint("ear_pain"), "I-Y-EAR"),
    ],
)
def test_main_symptoms_of_a_small_child_raise_to_yellow(complaint: Complaint, code: str) -> None:
    result = asked(700, complaints=(complaint,), vitals=child_vitals(700))
    assert result.colour is YELLOW and code in result.reasons


def test_thirteen_days_of_diarrhoea_are_not_fourteen() -> None:
    result = asked(700, complaints=(Complaint("loose_motion", duration=13),), vitals=child_vitals(700))
    assert result.colour is GREEN


@pytest.mark.parametrize(("complaint", "colour"), [("snake_bite", RED), ("animal_bite", YELLOW)])
def test_a_bite_named_as_complaint_counts_as_its_sign(complaint: str, colour: Colour) -> None:
    assert asked(complaints=(Complaint(complaint),)).colour is colour


def full(**changed: float) -> Vitals:
    return Vitals(readings(**{**NORMAL, "sbp": 120.0, "dbp": 80.0, **changed}), "A", oxygen=False)


@pytest.mark.parametrize(
    ("changed", "total", "colour"),
    [
        ({}, 0, GREEN),
        ({"rr": 21}, 2, GREEN),
        ({"rr": 25}, 3, YELLOW),
        ({"rr": 24, "hr": 111}, 4, GREEN),
        ({"rr": 24, "hr": 111, "temp_c": 38.1}, 5, YELLOW),
        ({"rr": 24, "hr": 111, "temp_c": 38.1, "sbp": 110}, 6, YELLOW),
        ({"rr": 24, "hr": 111, "temp_c": 38.1, "sbp": 100}, 7, RED),
        ({"sbp": 90}, 3, YELLOW),
        ({"sbp": 220}, 3, YELLOW),
        ({"spo2": 95}, 1, GREEN),
        ({"spo2": 93}, 2, GREEN),
        ({"temp_c": 35.0}, 3, YELLOW),
        ({"hr": 91}, 1, GREEN),
    ],
)
def test_news2_adds_up_and_raises(changed: dict[str, float], total: int, colour: Colour) -> None:
    result = asked(vitals=full(**changed))
    assert result.news2 == total
    assert result.colour is colour


def test_news2_has_no_total_when_a_parameter_is_missing() -> None:
    assert asked(vitals=adult_vitals()).news2 is None


def test_news2_is_not_for_the_pregnant_nor_below_sixteen() -> None:
    assert asked(gender=FEMALE, history=PREGNANT, vitals=full()).news2 is None
    assert asked(5843, vitals=full()).news2 is None
    assert asked(5844, vitals=full()).news2 == 0


def test_all_vitals_blank_is_not_triaged() -> None:
    result = asked(vitals=Vitals())
    assert result.colour is NONE
    assert {"avpu", "vitals"} <= set(result.missing)


def test_all_vitals_left_out_on_purpose_is_still_not_triaged() -> None:
    result = asked(vitals=Vitals((), "A", None, ("hr", "rr", "temp_c", "spo2")))
    assert result.colour is NONE and result.missing == ("vitals",)


def test_one_vital_left_out_on_purpose_does_not_hold_up_green() -> None:
    measured = Vitals(readings(hr=80, temp_c=37, spo2=98), "A", None, ("rr",))
    assert asked(vitals=measured).colour is GREEN


def test_unasked_danger_signs_are_not_triaged() -> None:
    result = triage(ADULT, MALE, None, (), adult_vitals(), (), ())
    assert result.colour is NONE and result.missing == ("signs",)


@pytest.mark.parametrize(
    ("days", "history", "missing"),
    [
        (ADULT, None, ("pregnancy", "post_partum")),
        (ADULT, History(pregnant=False), ("post_partum",)),
        (ADULT, NOT_PREGNANT, ()),
        (20453, None, ("pregnancy", "post_partum")),
        (20454, None, ()),
    ],
)
def test_a_woman_of_child_bearing_age_is_asked_for_pregnancy(
    days: int, history: History | None, missing: tuple[str, ...]
) -> None:
    assert asked(days, gender=FEMALE, history=history).missing == missing


def test_unknown_age_is_not_triaged_but_red_where_every_chart_agrees() -> None:
    assert asked(None).colour is NONE
    assert "age" in asked(None).missing
    assert asked(None, "stridor", vitals=Vitals()).colour is RED
    assert asked(None, "ecg_ischaemia", vitals=Vitals()).colour is not RED, "a child's chart does not have it"


def test_red_needs_no_complete_form() -> None:
    result = triage(ADULT, MALE, None, (), Vitals(), ("convulsing_now",), ())
    assert result.colour is RED and result.missing == ()


def test_the_newest_reading_replaces_the_older_one() -> None:
    first = VitalsRound(1, "a", Vitals(readings(hr=40.0, rr=16.0), "V"))
    second = VitalsRound(2, "a", Vitals((Reading("hr", 80.0),), "A"))
    merged = latest_vitals((second, first))
    assert {r.vital: r.value for r in merged.readings} == {"hr": 80.0, "rr": 16.0}
    assert merged.avpu == "A"


def satisfy(when: Condition) -> tuple[set[str], dict[str, float], list[Complaint], str]:
    """Answers that meet a condition of the data."""
    if when.sign:
        return {when.sign}, {}, [], ""
    if when.vital:
        limits = [x for x in (when.lt and when.lt - 0.5, when.gt and when.gt + 0.5, when.ge) if x is not None]
        return set(), {when.vital: limits[0]}, [], ""
    if when.avpu:
        return set(), {}, [], when.avpu[0]
    if when.complaint:
        return set(), {}, [Complaint(when.complaint, duration=when.days_ge)], ""
    if when.news2:
        return set(), {"rr": 25.0, "hr": 131.0, "sbp": 90.0, "dbp": 60.0}, [], ""
    parts = when.any[:1] or when.all or when.of[: when.at_least]
    signs: set[str] = set()
    values: dict[str, float] = {}
    complaints: list[Complaint] = []
    avpu = ""
    for part in parts:
        more_signs, more_values, more_complaints, more_avpu = satisfy(part)
        signs |= more_signs
        values |= more_values
        complaints += more_complaints
        avpu = avpu or more_avpu
    return signs, values, complaints, avpu


@pytest.mark.parametrize("rule", rules().rules, ids=lambda rule: f"{rule.code}@{rule.scope.from_days}")
def test_every_row_of_the_rule_book_fires_in_its_scope(rule: Rule) -> None:
    scope = rule.scope
    days = scope.from_days or (scope.below_days or ADULT) - 1
    if rule.code.startswith("NEWS2"):
        days = ADULT
    signs, values, complaints, avpu = satisfy(rule.when)
    complaints += [Complaint(code) for code in scope.complaints[:1]]
    history = PREGNANT if scope.pregnant or scope.maternal else None
    gender = FEMALE if history else MALE
    base = {**NORMAL, "sbp": 120.0, "dbp": 80.0, **values}
    vitals = Vitals(readings(**base), avpu or "A", oxygen=False)
    result = triage(days, gender, history, tuple(complaints), vitals, tuple(signs), ())
    assert rule.code in result.reasons
    assert result.colour is RED or result.colour is rule.colour


def test_every_sign_of_the_rules_has_words_in_both_languages() -> None:
    for sign in reference().signs:
        assert sign.en and sign.hi and sign.asks, sign.id
        assert sign.sure or sign.status == "unsourced - verify"


def test_a_person_of_the_data_is_asked_only_what_concerns_him() -> None:
    man = signs_to_ask(ADULT, MALE, None, (), adult_vitals())
    assert "reduced_fetal_movement" not in man and "acute_testicular_pain" in man
    baby = signs_to_ask(30, FEMALE, None, (), child_vitals(30))
    assert "not_feeding_well" in baby and "violent" not in baby


def test_told_ages_reach_the_chart_they_name() -> None:
    twelve = Person("A", MALE, "v", Age(12, AgeUnit.YEARS))
    two_months = Person("A", MALE, "v", Age(2, AgeUnit.MONTHS))
    assert (age_days(twelve, 0, 0) or 0) >= 4383
    assert (age_days(two_months, 0, 0) or 0) >= 60
