"""The month's figures from the day registers, for the HMIS sub-centre format and for the customer (forms.md §9). Pure.

Only what was recorded is counted; a figure whose counting began within the month says since when. A line of the format
of which this computer records nothing has no value, never 0: the ANM fills it in from her own registers. The format's
lines are those of forms.md §9 [F7], a filled copy of May 2023; its later sections were not seen there - verify with the
state's present format. An Hb of exactly 7 stands in neither of its two bands.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from .clock import day_of, day_text
from .fold import Visit
from .records import VisitState
from .referral import Ending
from .register import DayVisit, Totals, standing_record, totals
from .watched import Watched

BP_ABOVE = (140.0, 90.0)
"""HMIS 1.3: more than 140/90 mmHg (forms.md §9)."""
HB_LOW = (7.1, 10.9)
"""HMIS 1.4.2: Hb below 11, counted as 7.1 to 10.9 g/dL (forms.md §9)."""
HB_SEVERE_BELOW = 7.0
"""HMIS 1.4.3."""

HMIS = (
    *("1.1", "1.1.1", "1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7", "1.2.8"),
    *("1.3", "1.3.1", "1.3.1a", "1.4.1", "1.4.2", "1.4.3", "1.5", "2.1"),
)
"""Lines of Part A that forms.md names, in its order."""


NOT_WATCHED = Watched()


class Figure(Struct, frozen=True):
    """One line: its code, and its value or None for what is not recorded here."""

    code: str
    value: float | None
    since: str = ""
    """YYYY-MM-DD from which it counts, where that is not the whole month."""


class Month(Struct, frozen=True):
    """A month's figures."""

    totals: list[Totals]
    """Visits by sex and age."""
    opd: list[Figure]
    hmis: list[Figure]
    tele: list[Figure]


def month(
    visits: Sequence[DayVisit],
    earlier: Mapping[str, Iterable[Visit]],
    lags_ms: Sequence[int] = (),
    watched: Watched = NOT_WATCHED,
) -> Month:
    """Figures of the visits that were opened in one month.

    ``earlier``: patient id → visits before that month, of the patients among them; for what counts as a new case.
    ``lags_ms``: how long each bundle of the month took to the hub's disk, or has waited until now.
    ``watched``: how long of the month the node ran and had no hub.
    """
    kept = [one for one in visits if one.visit.state is not VisitState.CANCELLED]
    new = sum(day_of(one.patient.registered_ms) == day_of(one.visit.opened_ms) for one in kept)
    opd = [
        Figure("visits", len(kept)),
        Figure("new", new),
        Figure("old", len(kept) - new),
        Figure("people", len({one.visit.patient_id for one in kept})),
        *(Figure(f"triage_{colour}", _count(kept, colour)) for colour in ("red", "yellow", "green", "not_triaged")),
        Figure("handed_out", sum(len(one.visit.handed_out) for one in kept)),
    ]
    known = _hmis([one.visit for one in kept], earlier)
    return Month(totals(kept), opd, [Figure(code, known.get(code)) for code in HMIS], _tele(kept, lags_ms, watched))


def _count(visits: Iterable[DayVisit], colour: str) -> int:
    return sum(one.visit.colour.value == colour for one in visits)


def _pregnant(visit: Visit) -> bool:
    return visit.history is not None and bool(visit.history.pregnant)


def _high_bp(visit: Visit) -> bool:
    """Pregnant, with a pressure above the format's line in any round of this visit."""
    if not _pregnant(visit):
        return False
    for round_ in visit.vitals:
        values = {one.vital: one.value for one in round_.vitals.readings}
        if values.get("sbp", 0.0) > BP_ABOVE[0] or values.get("dbp", 0.0) > BP_ABOVE[1]:
            return True
    return False


def _hmis(visits: Sequence[Visit], earlier: Mapping[str, Iterable[Visit]]) -> dict[str, int]:
    high = {one.patient_id for one in visits if _high_bp(one)}
    new = {one for one in high if not any(_high_bp(before) for before in earlier.get(one, ()))}
    lowest: dict[str, float] = {}
    for one in visits:
        if _pregnant(one):
            for round_ in one.vitals:
                for reading in round_.vitals.readings:
                    if reading.vital == "hb_gdl":
                        lowest[one.patient_id] = min(reading.value, lowest.get(one.patient_id, reading.value))
    return {
        "1.3": len(high),
        "1.3.1": len(new),
        "1.4.2": sum(HB_LOW[0] <= value <= HB_LOW[1] for value in lowest.values()),
        "1.4.3": sum(value < HB_SEVERE_BELOW for value in lowest.values()),
    }


def first_contact_ms(visit: Visit) -> int:
    """When a doctor first had to do with a visit: a call, the opening of its record, an answer; 0 for never."""
    found = [one.started_ms for one in visit.calls] + [one.signed_ms for one in visit.prescriptions]
    found += [visit.seen_ms] if visit.seen_ms else []
    return min(found, default=0)


def _hours(seconds: int) -> float:
    return round(seconds / 3600, 1)


def _denials(visits: Sequence[Visit]) -> Figure:
    """Signings that the rules about medicines stopped: none of a visit whose hub does not say it is not nought."""
    told = [one.seen_ms for one in visits if one.tells_denials] + [at >> 16 for one in visits for at in one.denied]
    silent = any(one.seen_ms and not one.tells_denials for one in visits)
    if silent and not told:
        return Figure("gate_denials", None)
    since = day_text(day_of(min(told))) if silent else ""
    return Figure("gate_denials", sum(len(one.denied) for one in visits), since)


def _tele(kept: Sequence[DayVisit], lags_ms: Sequence[int], watched: Watched) -> list[Figure]:
    visits = [one.visit for one in kept]
    records = [record for one in visits if (record := standing_record(one)) is not None]
    waits = [
        (contact - one.queued_ms) / 60_000
        for one in visits
        if one.queued_ms and (contact := first_contact_ms(one)) >= one.queued_ms
    ]
    called = [one for one in visits if one.calls]
    silent = sum(not any(call.audio_s > 0 for call in one.calls) for one in called)
    sent = [one for one in visits if one.referrals or _sent_by_doctor(one)]
    reached = sum(one.ending is not None and one.ending.ending == Ending.REACHED for one in sent)
    return [
        Figure("consultations", len(records)),
        *(
            Figure(f"mode_{mode}", sum(one.mode.value == mode for one in records))
            for mode in ("video", "audio", "text")
        ),
        Figure("first", sum(one.consult_type.value == "first" for one in records)),
        Figure("follow_up", sum(one.consult_type.value != "first" for one in records)),
        Figure("wait_median_min", round(median(waits), 1) if waits else None),
        Figure("no_show", sum(bool(one.no_shows_ms) or one.state is VisitState.NO_SHOW for one in visits)),
        Figure("calls_silent_percent", round(100 * silent / len(called), 1) if called else None),
        Figure("referred", len(sent)),
        Figure("referred_reached", reached),
        _denials(visits),
        Figure("offline_hours", _hours(watched.offline_s) if watched.ran_s else None, watched.since),
        Figure("ran_hours", _hours(watched.ran_s) if watched.ran_s else None, watched.since),
        Figure("sync_lag", round(median(lags_ms) / 60_000, 1) if lags_ms else None),
    ]


def _sent_by_doctor(visit: Visit) -> bool:
    record = standing_record(visit)
    return record is not None and record.referral is not None
