"""What a doctor draws on a photo: an entry in the node's log from the hub, once, and audited."""

from sqlalchemy import select

from edge.model import events as ev
from edge.model.marks import Mark, MarkKind
from hub.store.schema import audit

from .kit import HubKit, new_id
from .test_blobs import ready


async def test_marks_of_a_doctor_reach_the_node_once_and_the_audit_log(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    mark = {"mark_id": new_id(), "kind": "ring", "points": [100, 100, 300, 200]}
    path = f"{case.blob}/marks"
    for _ in range(2):
        reply = await page.call("POST", path, {"marks": [mark]})
        assert reply.status == 200
        (item,) = (await reply.json())["visit"]["media"]
        assert [(one["doctor"], one["by"], one["marks"]) for one in item["drawn"]] == [(True, "asha", [mark])]
    await case.node.until(lambda: any(isinstance(e, ev.DoctorMarked) for e in case.node.said_by_hub()))
    (said,) = [event for event in case.node.said_by_hub() if isinstance(event, ev.DoctorMarked)]
    assert said.marks == (Mark(str(mark["mark_id"]), MarkKind.RING, (100, 100, 300, 200)),)
    lines = await kit.hub.store.read(
        lambda c: c.execute(select(audit.c.action).where(audit.c.result == case.manifest.blob_id)).scalars().all()
    )
    assert lines == ["photo_marked"]


async def test_marks_that_are_none_and_photos_that_are_none_are_refused(kit: HubKit) -> None:
    case, page = await ready(kit)
    await case.open_visit()
    await case.announce()
    good = {"mark_id": new_id(), "kind": "line", "points": [0, 0, 5, 5]}
    assert (await page.call("POST", f"{case.path}/{new_id()}/marks", {"marks": [good]})).status == 404
    bent = {**good, "kind": "arrow", "points": [0, 0, 5, 5, 9, 9]}
    for wrong in ([], [bent], [{**good, "points": [0, 0, 5, 1001]}], [good] * 41):
        assert (await page.call("POST", f"{case.blob}/marks", {"marks": wrong})).status == 400, wrong
