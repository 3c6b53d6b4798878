"""What the hub said, from the outbox into the records: opened, checked and folded; what does not hold is put aside.

Takes blobs that are durable already. Knows no link.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import msgspec

from edge.model import events as ev
from edge.model.errors import Fault, UpkendraError
from edge.model.prescribing import SignedPrescription
from edge.slips.verify import verify_signed
from edge.sync import bundle, hubkey, revocation, seal
from edge.sync.log import Stream
from edge.web.logs import say

from . import on_call
from .clinic import Clinic
from .erasing import sweep
from .journal import Journal
from .live import PrescriptionCame, VisitChanged
from .outbox import OutboxDb

logger = logging.getLogger("edge.node.link")


class DownImport:
    """Takes in downlink, once the records are open."""

    def __init__(
        self,
        clinic: Clinic,
        take_key: Callable[[hubkey.HubKey], Awaitable[None]],
        revoke: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        """``take_key`` hears keys of the hub, ``revoke`` lists of what is revoked; it raises RevocationRefused."""
        self._clinic, self._take_key, self._revoke = clinic, take_key, revoke
        self._one = asyncio.Lock()
        self._erasing = False
        """Somebody is at it."""

    async def import_all(self) -> None:
        """Open, check and fold every blob that lies here; one that does not hold is put aside and reported."""
        async with self._one:
            for seq, blob in await self._clinic.store.outbox(lambda outbox: outbox.downs()):
                try:
                    touched = await self._import(seq, blob)
                except (UpkendraError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    if isinstance(error, UpkendraError) and error.refusal.fault is Fault.US:
                        raise
                    code = error.refusal.code if isinstance(error, UpkendraError) else "payload_malformed"
                    say(logger, "down_refused", logging.WARNING, seq=seq, code=code)
                    await self._clinic.store.outbox(_refuser(seq, code))
                    continue
                except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError):
                    # A fault of ours in folding one answer: the others, and the unlocking, go on without it.
                    logger.exception("down_unfoldable")
                    await self._clinic.store.outbox(_refuser(seq, "down_unfoldable"))
                    continue
                await self._clinic.store.outbox(_importer(seq))
                for visit_id in touched:
                    self._clinic.tablets.push(VisitChanged(visit_id))
        self.erase_soon()
        # Entries only where an answer was recorded: a draft is not due because the hub said something.
        self._clinic.seal_media()

    def erase_soon(self) -> None:
        """What the hub said was erased by law goes here too, as soon as the hub has all that was said of it.

        Nobody waits for it. While the node is locked nothing goes; :meth:`import_all` looks again once it is open.
        """
        if not self._clinic.locked and not self._erasing:
            self._erasing = True
            self._clinic.later(self._erase())

    async def _erase(self) -> None:
        write, now = self._clinic.store.write, self._clinic.clock.now()
        try:
            while await write(lambda journal: journal.erasing.is_due()):
                pieces = await write(lambda journal: sweep(journal, now))
                more = True
                while more:  # whoever writes for the tablets comes between two pieces
                    more = await write(partial(_piece, pieces))
                self._clinic.seal_soon(0.0)
        finally:
            self._erasing = False

    async def _import(self, seq: int, blob: bytes) -> frozenset[str]:
        config, keys = self._clinic.config, self._clinic.secrets
        assert keys is not None
        down = await asyncio.to_thread(seal.open_down, blob, config.node_id, keys.records, config.hub_sign)
        if down.seq != seq:
            raise seal.SealRefused("the hub signed another number", code="down_sequence")
        payload = await asyncio.to_thread(bundle.unpack, down.payload)
        own: dict[int, ev.Event] = {}
        for place, raw in enumerate(payload.entries, payload.first_seq):
            event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
            if isinstance(event, ev.HubKeyPublished) and payload.stream == Stream.HUB:
                await self._take_key(hubkey.HubKey(event.made_ms, event.public, event.signature))
            if isinstance(event, ev.RevocationsPublished) and payload.stream == Stream.HUB:
                with contextlib.suppress(revocation.RevocationRefused):  # an older one of a stick's time is no fault
                    await self._revoke(event.signed_list)
            if isinstance(event, ev.OnCallPublished) and payload.stream == Stream.HUB:
                await asyncio.to_thread(on_call.hear, self._clinic.folder, event)
            if isinstance(event, ev.GrievanceNamed) and payload.stream == Stream.HUB:
                await asyncio.to_thread(on_call.hear_grievance, self._clinic.folder, event)
            if isinstance(event, ev.PrescriptionSigned) and payload.stream == Stream.HUB:
                signed = msgspec.msgpack.decode(event.signed, type=SignedPrescription)
                verified = await asyncio.to_thread(verify_signed, signed, config.hub_sign)
                if verified.record.visit_id != event.visit_id:
                    raise seal.SealRefused("the prescription is for another visit", code="prescription_other_visit")
                own[place] = ev.PrescriptionStored(event.visit_id, event.prescription_id)
        now = self._clinic.clock.now()
        done = await self._clinic.store.write(lambda journal: journal.import_down(payload, own, now, down))
        for mine in done.answers:
            self._clinic.tablets.push(PrescriptionCame(ev.visit_of(mine)))
        if done.answers:
            self._clinic.seal_soon(0.0)
        return done.visits


def _piece(pieces: Iterator[None], _: Journal) -> bool:
    """Do one; whether there was one left."""
    return next(pieces, pieces) is None


def _importer(seq: int) -> Callable[[OutboxDb], None]:
    return lambda outbox: outbox.down_imported(seq)


def _refuser(seq: int, reason: str) -> Callable[[OutboxDb], None]:
    return lambda outbox: outbox.refuse_down(seq, reason)
