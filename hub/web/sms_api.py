"""Routes that are there when the hub has an SMS modem: early copies, answers, how the modem stands."""

from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import BadInput
from edge.sync import sms
from edge.sync.bearers.sms import SmsHealth
from edge.web.routes import AnyRoute, Call, Route

from ..hub import Hub
from ..shown import List
from ..sms import EarlyItem, SmsDesk

NODE_ID = Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\\n)")]
EARLY_ID = Annotated[str, Meta(pattern="^[0-9a-hjkmnp-tv-z]{8}$(?!\\n)")]
ADVICE = {advice.name.lower(): advice for advice in sms.Advice}


class EarlyAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What the doctor says. It informs; it is no prescription."""

    advice: Annotated[str, Meta(pattern="^(none|call_108|refer_now|refer_today|wait_for_call|seen)$(?!\\n)")]
    text: Annotated[str, Meta(max_length=160, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = ""


class SmsApi:
    """Handlers over one desk."""

    def __init__(self, hub: Hub, desk: SmsDesk) -> None:
        self._hub = hub
        self._desk = desk

    def routes(self) -> list[AnyRoute]:
        """The table."""
        params = {"node_id": NODE_ID, "early_id": EARLY_ID}
        path = "/api/early/{node_id}/{early_id}/answer"
        return [
            Route("GET", "/api/sms", self.get_sms, None, SmsHealth),
            Route("GET", "/api/early", self.get_early, None, list[EarlyItem]),
            Route("POST", path, self.post_answer, EarlyAnswer, EarlyItem, params=params, errors=(409,)),
        ]

    async def get_sms(self, call: Call[None, None]) -> SmsHealth:
        """The modem, what waits, and what was spent."""
        return self._desk.health

    async def get_early(self, call: Call[None, None]) -> list[EarlyItem]:
        """Visits of which only an SMS has come so far, newest first."""
        items = await self._desk.early()
        await self._hub.shown.note(call.subject, List.EARLY, (item.early_id for item in items))
        return items

    async def post_answer(self, call: Call[EarlyAnswer, None]) -> EarlyItem:
        """Answer by SMS."""
        doctor = await self._hub.desk.doctor(call.subject)
        advice = ADVICE[call.body.advice]
        if advice is sms.Advice.NONE and not call.body.text:
            raise BadInput("Choose an advice or write a few words.", field="text")
        return await self._desk.answer(call.path["node_id"], call.path["early_id"], doctor, advice, call.body.text)
