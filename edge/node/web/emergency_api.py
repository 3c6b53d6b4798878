"""Handlers of emergency mode: no log-in, also while the node is locked. A case is its tablet's, by a key of its own."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.commands import Command
from edge.model.records import Age, Gender, Name
from edge.node.emergency import CasePage, Emergency, NewCase
from edge.web.routes import AnyRoute, Auth, Call, Raw, Route

CaseKey = Annotated[str, Meta(pattern="^[0-9a-f]{32}$(?!\\n)")]


class OpenCase(Struct, frozen=True, forbid_unknown_fields=True):
    case: CaseKey
    """128 random bits of the tablet: who has them goes on with this case."""
    name: Name
    gender: Gender
    age: Age


class CaseQuery(Struct, frozen=True):
    case: CaseKey


class SlipOfCase(CaseQuery, frozen=True):
    paper: Annotated[str, Meta(pattern="^(a4|a5)$(?!\\n)")] = "a5"


class EmergencyApi:
    """The emergencies of one node."""

    def __init__(self, emergency: Emergency) -> None:
        self._emergency = emergency

    async def post_case(self, call: Call[OpenCase, None]) -> CasePage:
        """A RED patient: registered, raised to RED and given a token at once. The same case again is the same case."""
        body = call.body
        return await self._emergency.open(NewCase(bytes.fromhex(body.case), body.name, body.gender, body.age))

    async def get_case(self, call: Call[None, CaseQuery]) -> CasePage:
        """How a case stands, and what the doctor answered."""
        return await self._emergency.page(call.path["visit_id"], bytes.fromhex(call.query.case))

    async def post_to_case(self, call: Call[Command, CaseQuery]) -> CasePage:
        """Say more about a case: measured values, complaint, signs, the person's data, that its slip was printed."""
        return await self._emergency.command(call.path["visit_id"], bytes.fromhex(call.query.case), call.body)

    async def get_slip_of_case(self, call: Call[None, SlipOfCase]) -> Raw:
        """The doctor's slip for a case as a PDF that carries the signed record, checked again."""
        key, paper = bytes.fromhex(call.query.case), call.query.paper
        pdf = await self._emergency.slip(call.path["visit_id"], key, call.path["prescription_id"], paper)
        return Raw(pdf, "application/pdf", (("Content-Disposition", 'inline; filename="slip.pdf"'),))

    async def print_slip_of_case(self, call: Call[None, CaseQuery]) -> CasePage:
        """Print the doctor's slip for a case on the roll; recorded as printed when the printer says so."""
        key = bytes.fromhex(call.query.case)
        return await self._emergency.print_slip(call.path["visit_id"], key, call.path["prescription_id"])

    async def print_token_of_case(self, call: Call[None, CaseQuery]) -> CasePage:
        """Print a case's token on the roll."""
        return await self._emergency.print_token(call.path["visit_id"], bytes.fromhex(call.query.case))

    async def get_referral_of_case(self, call: Call[None, CaseQuery]) -> Raw:
        """The referral slip of a case as PDF, A5, with no name of who made it."""
        pdf = await self._emergency.referral(call.path["visit_id"], bytes.fromhex(call.query.case))
        return Raw(pdf, "application/pdf", (("Content-Disposition", 'inline; filename="referral.pdf"'),))

    async def print_referral_of_case(self, call: Call[None, CaseQuery]) -> CasePage:
        """Print the referral slip of a case on the roll."""
        return await self._emergency.print_referral(call.path["visit_id"], bytes.fromhex(call.query.case))

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        path = "/api/emergency/{visit_id}"
        return (
            Route(
                "POST",
                "/api/emergency",
                self.post_case,
                body=OpenCase,
                reply=CasePage,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(404, 409),
            ),
            Route(
                "GET",
                path,
                self.get_case,
                reply=CasePage,
                query=CaseQuery,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(404,),
            ),
            Route(
                "POST",
                f"{path}/commands",
                self.post_to_case,
                body=Command,
                reply=CasePage,
                query=CaseQuery,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(403, 404, 409),
            ),
            Route(
                "GET",
                f"{path}/slip/{{prescription_id}}",
                self.get_slip_of_case,
                reply=bytes,
                reply_media="application/pdf",
                query=SlipOfCase,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(404,),
            ),
            Route(
                "GET",
                f"{path}/referral.pdf",
                self.get_referral_of_case,
                reply=bytes,
                reply_media="application/pdf",
                query=CaseQuery,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(404,),
            ),
            *(
                Route(
                    "POST",
                    f"{path}/{what}/print",
                    handler,
                    reply=CasePage,
                    query=CaseQuery,
                    auth=Auth.OPEN,
                    while_locked=True,
                    errors=(404, 409),
                )
                for what, handler in (
                    ("slip/{prescription_id}", self.print_slip_of_case),
                    ("token", self.print_token_of_case),
                    ("referral", self.print_referral_of_case),
                )
            ),
        )
