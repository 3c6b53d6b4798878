"""Comparing what two sides hold: exact ranges, an agreeing digest, frozen bytes, and no trust in any bytes."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync import holdings, hubkey
from edge.sync.frontier import Ranges

VECTORS = Path(__file__).parents[1] / "vectors"
RUNS = [bytes((number,)) * 8 for number in range(4)]
LOGS = st.dictionaries(
    st.tuples(st.sampled_from(RUNS), st.sampled_from([1, 2, 5])), st.sets(st.integers(1, 40), min_size=1), max_size=6
)


def held(logs: dict[holdings.Log, set[int]]) -> dict[holdings.Log, Ranges]:
    made = {}
    for log, seqs in logs.items():
        made[log] = Ranges()
        for seq in seqs:
            made[log].add(seq, seq + 1)
    return made


def seqs(spans: tuple[holdings.Span, ...]) -> set[tuple[bytes, int, int]]:
    return {(span.run, span.stream, seq) for span in spans for seq in range(span.first, span.last + 1)}


def places(logs: dict[holdings.Log, set[int]]) -> set[tuple[bytes, int, int]]:
    return {(*log, seq) for log, found in logs.items() for seq in found}


@given(LOGS, LOGS, st.sets(st.sampled_from(RUNS)))
@settings(max_examples=400)
def test_a_comparison_names_exactly_what_each_side_lacks_or_asks_for_all(
    node: dict[holdings.Log, set[int]], hub: dict[holdings.Log, set[int]], listed: set[bytes]
) -> None:
    chosen = [log for log in node if log[0] in listed]
    told = holdings.decode(holdings.encode(holdings.describe(held(node), chosen, (), whole=False)))
    assert isinstance(told, holdings.Holdings)
    found = holdings.compare(told, held(hub))
    rest_differs = any(node.get(log) != hub.get(log) for log in {*node, *hub} - set(chosen))
    assert found.unclear == rest_differs
    whole = holdings.decode(holdings.encode(holdings.describe(held(node), (), (), whole=True)))
    assert isinstance(whole, holdings.Holdings)
    found = holdings.compare(whole, held(hub))
    assert not found.unclear
    assert seqs(found.lacking) == places(node) - places(hub)
    assert seqs(found.surplus) == places(hub) - places(node)
    assert found.complete


def test_a_comparison_that_a_limit_cut_does_not_say_that_all_the_rest_is_held() -> None:
    gaps = Ranges(*((first, first + 1) for first in range(1, 2 * holdings.SPANS_MAX + 4, 2)))
    log = (bytes(8), 1)
    told = holdings.describe({log: Ranges((1, 2 * holdings.SPANS_MAX + 10))}, (log,), (), whole=False)
    found = holdings.compare(told, {log: gaps})
    assert len(found.lacking) == holdings.SPANS_MAX
    assert not found.complete
    many = {(number.to_bytes(8, "big"), 1): Ranges((1, 2)) for number in range(holdings.LOGS_MAX + 1)}
    found = holdings.compare(holdings.describe(many, (), (), whole=True), {})
    assert not found.complete


@given(st.binary(max_size=200))
@settings(max_examples=400)
def test_any_bytes_are_refused_or_a_message(data: bytes) -> None:
    try:
        holdings.decode(data)
    except holdings.HoldingsRefused as error:
        assert error.refusal.code == "holdings_malformed"


def test_ranges_that_overlap_or_run_away_are_refused() -> None:
    for spans in (((1, 5), (5, 6)), ((0, 3),), ((3, 2),), ((1, 1 << 48),)):
        message = holdings.Holdings(True, bytes(8), (holdings.LogHeld(bytes(8), 1, spans),))
        with pytest.raises(holdings.HoldingsRefused):
            holdings.decode(holdings.encode(message))


def test_a_year_of_daily_runs_is_told_in_a_hundred_bytes_or_so() -> None:
    logs = {(number.to_bytes(8, "big"), stream): Ranges((1, 400)) for number in range(365) for stream in (2, 4, 5)}
    now = [(b"\xff" * 8, 2), (b"\xff" * 8, 4)]
    logs |= {log: Ranges((1, 20)) for log in now}
    assert len(holdings.encode(holdings.describe(logs, now, (), whole=False))) < 100
    assert len(holdings.encode(holdings.describe(logs, now, (), whole=True))) < 20 * len(logs)


def test_the_vectors_of_holdings_and_of_the_hubs_key_hold() -> None:
    vector = json.loads((VECTORS / "holdings.json").read_text())
    logs = {(bytes(range(8)), 2): Ranges((1, 10), (12, 13)), (bytes(8), 5): Ranges((1, 4))}
    assert holdings.digest_of(logs).hex() == vector["digest"]
    listed = holdings.describe(logs, [(bytes(range(8)), 2)], (7,), whole=False)
    assert holdings.encode(listed).hex() == vector["listed"]
    for name in ("listed", "whole", "ask_all", "wanted", "notice"):
        assert holdings.encode(holdings.decode(bytes.fromhex(vector[name]))).hex() == vector[name]
    vector = json.loads((VECTORS / "hubkey.json").read_text())
    answer, opening = bytes.fromhex(vector["answer"]), bytes.fromhex(vector["opening"])
    key = hubkey.decode(answer, answer[1:5], [bytes.fromhex(vector["datagram"])[-8:]])
    assert key is not None
    assert hubkey.encode(key, opening, bytes.fromhex(vector["datagram"])) == answer
    assert hubkey.holds(key, bytes.fromhex(vector["hub_sign_public"]), 0)
    assert (key.made_ms, key.public.hex()) == (vector["made_ms"], vector["kem_public"])
