"""What a tablet keeps in its browser: keys of the day, and sealed pieces of what was typed."""

import json

from playwright.sync_api import Page

KEYS_KEPT = """async () => {
  const answer = (asked) => new Promise((done) => { asked.onsuccess = () => done(asked.result); });
  const base = await answer(indexedDB.open("upkendra-day"));
  const found = await answer(base.transaction("day").objectStore("day").getAll());
  base.close();
  return found.map((one) => one.key.extractable);
}"""
"""Whether each key that the tablet keeps could be read by a script."""
LYING = """async () => {
  const answer = (asked) => new Promise((done) => { asked.onsuccess = () => done(asked.result); });
  const base = await answer(indexedDB.open("upkendra-day"));
  const found = await answer(base.transaction("sealed").objectStore("sealed").getAll());
  base.close();
  return found.map((one) => ({ id: one.id, text: new TextDecoder("latin1").decode(one.sealed) }));
}"""


def keys_kept(page: Page) -> list[bool]:
    kept: list[bool] = page.locator("html").evaluate(KEYS_KEPT)
    return kept


def lying(page: Page) -> list[str]:
    """Kinds of the sealed pieces in the tablet; none of them shows what it holds."""
    found = page.locator("html").evaluate(LYING)
    assert "sealmarker" not in json.dumps(found, ensure_ascii=False).lower()
    return sorted(one["id"].split("/")[1] for one in found)


def until_lying(page: Page, kinds: list[str]) -> None:
    for _ in range(100):
        if lying(page) == kinds:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{lying(page)} lies in the tablet, not {kinds}")
