"""What can be said about the pages without a browser: words, vendored files, inline code."""

import hashlib
import re
from pathlib import Path

import pytest

from edge.model.errors import Refusal
from edge.model.reference import reference
from edge.model.triage_rules import rules

ROOT = Path(__file__).parents[2]
UI = ROOT / "edge" / "ui"
PAGES = (ROOT / "edge" / "node" / "static", ROOT / "hub" / "static", ROOT / "hub" / "home_page")
OURS = [
    path
    for folder in (*PAGES, UI / "lib", UI / "call")
    for path in sorted(folder.rglob("*"))
    if path.suffix in (".js", ".html", ".css")
]


def messages(language: str) -> dict[str, str]:
    """Id → pattern of the Fluent files of one-line messages, the page's own ones with those of all pages."""
    found: dict[str, str] = {}
    files = sorted((UI / "fluent").glob(f"{language}*.ftl"))
    for line in [line for path in files for line in path.read_text("utf-8").splitlines()]:
        match = re.fullmatch(r"([a-z][a-z0-9-]*) = (.+)", line)
        if match:
            assert match.group(1) not in found, f"said twice: {match.group(1)}"
            found[match.group(1)] = match.group(2)
        else:
            assert line == "" or line.startswith("#"), f"not a message of one line: {line!r}"
    return found


def used_ids() -> tuple[set[str], set[str]]:
    """Ids that the pages name outright, and the beginnings of those that they put together."""
    whole, begun = set(), set()
    for path in OURS:
        text = path.read_text("utf-8")
        whole |= set(re.findall(r'\b(?:t|known)\("([a-z0-9-]+)"', text))
        whole |= set(re.findall(r'\bsay\("hi", "([a-z0-9-]+)"', text))
        begun |= set(re.findall(r"\bt\(`([a-z0-9-]+-)\$\{", text))
    return whole, begun


def test_both_languages_have_the_same_messages_with_the_same_arguments() -> None:
    hindi, english = messages("hi"), messages("en")
    assert hindi.keys() == english.keys()
    for name in hindi:
        arguments = [set(re.findall(r"\{ (\$\w+) \}", one[name])) for one in (hindi, english)]
        assert arguments[0] == arguments[1], name


def test_every_message_that_a_page_names_exists() -> None:
    whole, begun = used_ids()
    known = messages("hi")
    assert whole - known.keys() == set()
    assert {prefix for prefix in begun if not any(name.startswith(prefix) for name in known)} == set()


def test_hindi_messages_are_written_in_devanagari() -> None:
    latin_only = {
        n for n, text in messages("hi").items() if not re.search("[\u0900-\u097f]", re.sub(r"\{.*?\}", "", text))
    }
    assert latin_only == set()


def test_every_triage_rule_can_be_said_in_words() -> None:
    known = messages("hi")
    by_sign = {ask.code for sign in reference().signs for ask in sign.asks}
    silent = {
        rule.code
        for rule in rules().rules
        if "reason-" + re.sub(r"[^a-z0-9]+", "-", rule.code.lower()) not in known
        and rule.code not in by_sign
        and not rule.code.startswith("HIGH-")
    }
    assert silent == set()


def test_everything_that_triage_may_miss_has_a_name_on_the_screen() -> None:
    known = messages("en")
    assert {f"missing-{name.replace('_', '-')}" for name in rules().mandatory} - known.keys() == set()


SHOWN = {
    "Model: commands (`edge.model.decide`)", "Model: measured values (`edge.model.vitals`)",
    "Model: prescriptions (`edge.model.prescribing`)", "Hub (`hub`)", "Web (`edge.web`): both APIs",
    "Patients at home (`hub.home`)",
}  # fmt: skip
"""Sections of docs/errors.md whose codes a page may have to show."""
UNSEEN = {
    "hub_keys", "doctor_exists", "password_short", "token_unknown", "token_used", "io",
    "entry_malformed", "fork", "stream_forbidden", "stream_unknown", "grade_too_low", "blob_limit",
    "blob_copy_failed",
    "fhir_unreachable", "fhir_timeout", "fhir_busy", "fhir_unauthorised", "fhir_wrong_address", "fhir_refused",
    "fhir_not_made",
    "leads_no_more",
    "backup_damaged", "backup_exists", "backup_other_hub", "entries_gone", "hub_keys_missing",
    "hub_running", "journal_key", "journal_malformed", "node_twice", "returned_refused",
    "store_damaged", "store_gone", "store_in_the_way",
    "too_slow", "copy_ahead", "copy_damaged", "copy_gap", "copy_other", "copy_sqlite", "quarantine_full",
}  # fmt: skip
"""Codes of command lines and of quarantine, which no page shows."""


def codes_of_errors_page() -> set[str]:
    """Codes that stand in first columns and in lists of the sections above, and of the node's calls."""
    found = {"call_not_taken"}
    for section in re.split(r"^## ", (ROOT / "docs" / "errors.md").read_text("utf-8"), flags=re.MULTILINE):
        if section.split("\n", 1)[0] in SHOWN:
            for line in re.findall(r"^\|([^|]+)\|", section, re.MULTILINE):
                found |= set(re.findall(r"`([a-z_]+)`", line))
            for listed in re.findall(r"^Warnings[^:]*: ((?:.|\n)*?)\.$", section, re.MULTILINE):
                found |= set(re.findall(r"`([a-z_]+)`", listed))
    return found - UNSEEN


def test_every_code_that_a_page_may_show_is_said_in_both_languages() -> None:
    codes = codes_of_errors_page()
    assert {"denied", "allergy_match", "not_approved", "second_no_show", "consent_needed"} <= codes
    for language in ("hi", "en"):
        known = messages(language)
        assert {code for code in codes if f"error-{code.replace('_', '-')}" not in known} == set(), language


def test_every_screen_that_lists_a_medicine_says_when_no_medical_officer_approved_it() -> None:
    listing = [path for path in OURS if "doseLine(" in path.read_text("utf-8") and path.name != "dose.js"]
    assert len(listing) >= 2
    for path in listing:
        assert 't("not-approved")' in path.read_text("utf-8"), path.name


def test_runbooks_show_small_pictures_that_exist_and_none_is_left_over() -> None:
    folder = ROOT / "docs" / "runbooks"
    shown = {name for page in folder.glob("*.md") for name in re.findall(r"\]\(img/([^)]+)\)", page.read_text("utf-8"))}
    sizes = {path.name: path.stat().st_size for path in (folder / "img").glob("*.png")}
    assert shown == sizes.keys()
    assert max(sizes.values()) <= 60_000 and sum(sizes.values()) <= 2_000_000


def test_vendored_files_are_those_of_the_list_and_unchanged() -> None:
    vendor = UI / "vendor"
    rows = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (vendor / "VENDOR.md").read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == {str(p.relative_to(vendor)) for p in vendor.rglob("*.js")}
    for name, digest in rows:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("folder", PAGES, ids=["node", "hub", "home"])
def test_pages_hold_no_inline_code_and_no_foreign_address(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8")
    assert re.search(r"<script(?![^>]*\bsrc=)", text) is None
    assert re.search(r"<style|\sstyle=|\son\w+=", text) is None
    for path in OURS:
        content = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert re.search(r"https?://(?!\$)", content) is None, path
        assert "innerHTML" not in content and "eval(" not in content, path


def test_nothing_of_a_patient_goes_into_the_browsers_own_storage() -> None:
    stored = {
        name for path in OURS for name in re.findall(r'(?:setItem|keepInTab)\("([^"]+)"', path.read_text("utf-8"))
    }
    ours = {
        "upk-language",
        "upk-tablet",
        "upk-here",
        "upk-call",
        "upk-case",
        "upk-third",
        "upk-home-call",
        "upk-home-here",
    }
    assert stored == ours
    assert {path.name for path in OURS if "indexedDB" in path.read_text("utf-8")} == {"dayslot.js"}


def test_pages_that_are_said_to_be_named_for_scripts_are_named_so() -> None:
    listed = (UI / "SELECTORS.md").read_text("utf-8")
    names = {name for name in re.findall(r"`([a-z][a-zA-Z0-9_-]*)`", listed) if "data-" not in name}
    source = "\n".join(path.read_text("utf-8") for path in OURS if path.suffix == ".js")
    absent = {name for name in names if f'"{name}"' not in source and not _composed(name, source)}
    assert absent == set()


def _composed(name: str, source: str) -> bool:
    """Whether the name is put together from a prefix and an option's value."""
    parts = name.split("-")
    heads = ["-".join(parts[:n]) for n in range(1, len(parts))]
    return any(f'name="{head}"' in source or f"`{head}-${{" in source for head in heads) or name in _VALUES


_VALUES = frozenset(Refusal.__struct_fields__) | {
    "hr", "rr", "spo2", "waiting", "sent", "answered", "printed", "signed", "saved", "saving", "unsaved", "disabled",
    "dose", "route", "frequency", "days", "food", "quantity", "instructions",
}  # fmt: skip
