"""The provisioning file: what is right is read as written, what is wrong is refused and names its field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import provisioning
from edge.model.errors import BadInput

GOOD = {
    "format": 1,
    "hub": "https://hub.example.org:8480",
    "token": "UPK1-ABCDEFGH",
    "setup_code": "04711000",
    "wifi": {"ssid": "स्वास्थ्य", "passphrase": "golghar-42"},
    "apns": ["airtelgprs.com"],
}


@given(
    ssid=st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=8),
    passphrase=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63),
    apns=st.lists(st.from_regex(r"[a-z0-9.-]{1,100}", fullmatch=True), max_size=2),
)
def test_a_file_is_read_as_it_was_written(ssid: str, passphrase: str, apns: list[str]) -> None:
    found = provisioning.parse(
        json.dumps({**GOOD, "wifi": {"ssid": ssid, "passphrase": passphrase}, "apns": apns}).encode()
    )
    assert provisioning.parse(provisioning.encode(found)) == found
    assert passphrase not in repr(found) or passphrase in found.hub


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"format": 2}, "another release"),
        ({"hub": "hub.example.org"}, "hub"),
        ({"hub": "https://hub.example.org/with/path"}, "hub"),
        ({"hub": "https://user:pw@hub"}, "hub"),
        ({"token": "UPR1-ABCDEFGH"}, "token"),
        ({"setup_code": "1234"}, "setup_code"),
        ({"wifi": {"ssid": "x", "passphrase": "short"}}, "passphrase"),
        ({"wifi": {"ssid": "x", "passphrase": "पासवर्ड-लंबा"}}, "passphrase"),
        ({"wifi": {"ssid": "x" * 33, "passphrase": "golghar-42"}}, "Wi-Fi name"),
        ({"wifi": {"ssid": "a\nb", "passphrase": "golghar-42"}}, "Wi-Fi name"),
        ({"wifi": {"ssid": "x"}}, "passphrase"),
        ({"apns": ["a", "b", "c"]}, "apns"),
        ({"apns": ["a b"]}, "apns"),
        ({"language": "ur"}, "language"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "Asia/Kathmandu"}, "day is India's"),
        ({"root_password": "x"}, "root_password"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_without_the_secrets(change: dict[str, object], names: str) -> None:
    with pytest.raises(BadInput) as caught:
        provisioning.parse(json.dumps({**GOOD, **change}).encode())
    assert names in caught.value.refusal.message
    assert "golghar" not in caught.value.refusal.message


@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        provisioning.parse(content)


def test_a_file_from_windows_notepad_with_a_byte_order_mark_is_read() -> None:
    assert provisioning.parse(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()).language == "hi"


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        provisioning.parse(b" " * 10_000)
    assert caught.value.refusal.code == "provision_too_large"
