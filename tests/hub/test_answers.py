"""Spoken answers at the hub: as entries to the node, once, heard again and audited."""

from sqlalchemy import select

from edge.model import events as ev
from edge.model import spoken
from hub.store.schema import audit
from tests.kits import media as made

from .kit import HubKit, new_id
from .test_blobs import ready

SOUND = {"Content-Type": "application/octet-stream"}


async def test_an_answer_reaches_the_node_in_parts_and_can_be_heard_again(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    content, answer_id = made.sound("webm"), new_id()
    path = f"/api/visits/{case.visit_id}/answers/{answer_id}"
    for _ in range(2):
        reply = await page.call("PUT", path, raw=content, headers=SOUND)
        assert reply.status == 200, await reply.text()
        (one,) = (await reply.json())["visit"]["answers"]
        assert (one["answer_id"], one["doctor_id"], one["size_bytes"]) == (answer_id, "asha", len(content))

    def whole() -> bool:
        said = case.node.said_by_hub()
        if not any(isinstance(event, ev.AnswerSpoken) for event in said):
            return False
        return spoken.put_together(answer_id, len(content), one["parts"], said).content == content

    await case.node.until(whole)
    assert sum(isinstance(event, ev.AnswerSpoken) for event in case.node.said_by_hub()) == 1
    heard = await page.call("GET", path)
    assert await heard.read() == content and heard.headers["Content-Type"] == "audio/webm"
    lines = await kit.hub.store.read(
        lambda c: c.execute(select(audit.c.action).where(audit.c.result == answer_id)).scalars().all()
    )
    assert lines == ["answer_spoken", "answer_opened"]


async def test_what_is_no_sound_is_no_answer(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    path = f"/api/visits/{case.visit_id}/answers/{new_id()}"
    for content in (b"<html>", made.jpeg(), made.sound("webm")[:200]):
        assert (await page.call("PUT", path, raw=content, headers=SOUND)).status == 400
    assert (await page.call("GET", path)).status == 404
