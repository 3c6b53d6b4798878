"""One hub process put together: store, keys, directory, desk, live, link. Knows no HTTP and no socket."""

import asyncio
import logging
import secrets
from collections.abc import Callable

from sqlalchemy import Connection, select

from edge.model.errors import BadInput
from edge.model.events import StaffPublished
from edge.model.reference import reference
from edge.sync.endpoint import HubEndpoint
from edge.sync.locked import is_message
from edge.web.logs import say

from . import directory, down, erasure_desk, erasures, on_call, revocations, shelf, shelf_s3
from .blob_copy import BlobCopy
from .blob_rows import LooseLimit
from .blobs import Blobs
from .config import Settings
from .desk import Desk
from .exchange.endpoint import Endpoint
from .exchange.exporter import Exporter
from .fanout import SENDER_BYTES, Alone, Fanout, NatsFanout, VisitsChanged
from .home import sites as home_sites
from .home.gateway import Gateway, gateway_of
from .home.home import Home
from .keys import Keyring, KeysRefused, destroy_old, least_hours, load_keys
from .leader import Leader
from .link import Link
from .live import Live
from .live_again import Again
from .lived import Lived
from .prescriptions import Prescriptions
from .presence import Presence
from .quarantine import QuarantineFull, find_plain, of_a_later_release, seal_plain
from .reconsider import reconsider
from .review import Reviews
from .rota.desk import RotaDesk
from .rota.front import RotaFront
from .saved import SavedLines
from .shown import Shown
from .store.copy import Copier, CopyRefused, FolderCopy, end_history, has_history
from .store.dialect import DATABASE_FILE
from .store.engine import Store
from .thirds import Thirds
from .together import Together
from .update_link import UpdateLink

logger = logging.getLogger("hub")
SWEEP_AFTER_S = 3600.0
"""Half-written files of the shelf that are older belong to no process that still lives."""
RELOAD_S = 2.0
"""How soon a running hub sees nodes revoked and doctors added by a command."""


def _shelf_of(settings: Settings) -> shelf.Shelf:
    if not settings.blobs:
        return shelf.FolderShelf(settings.blobs_folder)
    if settings.blobs_keys is None:
        raise BadInput("Name the file with the keys of the S3 store: --blobs-keys.", field="blobs_keys")
    return shelf_s3.S3Shelf(settings.blobs, shelf_s3.load_keys(settings.blobs_keys))


class Hub:
    """Everything that the web side and the link's runner need."""

    def __init__(
        self,
        settings: Settings,
        wall_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        gateway: Gateway | None = None,
    ) -> None:
        """Open the store and load keys and nodes. Blocking. ``gateway``: in the place of the one of the settings.

        Raises KeysRefused, BadInput.
        """
        self.settings = settings
        self.wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._lived = Lived(settings.data)
        self.keys: Keyring = load_keys(settings.data)
        self.store = Store(settings.database_url)
        self.copier = self._second_copy()
        self.directory = directory.NodeDirectory()
        self._known_nodes: dict[str, directory.Marks] = {}
        """What :meth:`reload_nodes` saw of each node."""
        self._load_nodes()
        erasures.recall(self.store, self.keys, settings.data, wall_ms())
        reference()  # read and cached here, not while serving
        now_s = monotonic_s()
        endpoint = HubEndpoint(
            self.keys.hub,
            self.directory,
            now_s,
            unix_offset_s=wall_ms() / 1000 - now_s,
            random=secrets.token_bytes,
        )
        self.speaker = down.Speaker(self.keys, secrets.token_bytes(8), endpoint.reads)
        self.link = Link(endpoint, self.store, self.directory, self.speaker, wall_ms, monotonic_s, self.copier)
        self.desk = Desk(self.store, self.speaker, self.directory, wall_ms, self.link.send_down, self._visit_changed)
        shelf.sweep(settings.blobs_folder, wall_ms() / 1000 - SWEEP_AFTER_S)
        self.blobs = Blobs(
            self.store,
            _shelf_of(settings),
            self.speaker,
            wall_ms,
            self.link.send_down,
            self._visit_changed,
            BlobCopy(self.store, _shelf_of(settings), self._second_shelf(), look=not settings.blobs),
        )
        self.updates = UpdateLink(self.link, self.store, self.directory, self.keys.hub, settings, wall_ms, monotonic_s)
        self.prescriptions = Prescriptions(self.desk)
        self.saved = SavedLines(self.desk)
        self.reviews = Reviews(self.desk)
        self.live = Live(self.desk, self.link, settings.turn)
        self.shown = Shown(self.store, wall_ms)
        self.presence = Presence(self.store, wall_ms, self.live.doctors_here)
        self.desk.here = self.presence.note
        self.leader = Leader(self.store.engine)
        self.thirds = Thirds(self.desk, self.live, monotonic_s)
        self.rota = RotaDesk(self.desk, self.live, self.leader, monotonic_s, settings.gone_s)
        fanout = self._fanout()
        self.front = RotaFront(self.rota, self.desk, fanout)
        self.home = self._patients(gateway or gateway_of(settings.home))
        self.link.on_visits = self._visits_arrived
        homes = self.home.calls if self.home is not None else None
        self.together = Together(
            *(self.leader, fanout, self.link, self.live, self.front),
            *(self._changed_elsewhere, homes, Again(self.desk, self.live, alone=fanout.alone)),
        )
        self.together.on_lead += [self._reconsider, self.live.settle_all, self.rota.start, self.thirds.start]
        self.together.on_follow += [self.rota.stop, self.thirds.stop]
        if self.home is not None:
            self.together.on_lead.append(self.home.lead)
            self.together.on_follow.append(self.home.follow)
        self.erasures = erasure_desk.ErasureDesk(
            *(self.store, self.speaker, self.blobs, self.copier, self.leader, settings.data),
            *(wall_ms, self.link.send_down),
        )
        self.exporter = self._exporter()
        if self.exporter is not None:
            self.together.on_lead.append(self.exporter.start)
            self.together.on_follow.append(self.exporter.stop)
        self._tasks: list[asyncio.Task[None]] = []
        self._revoked_mark: tuple[int, ...] = ()
        self._freed: frozenset[str] = frozenset()
        """Closed accounts whose visits were given back."""
        self.sms_fitted = False
        """Whether this hub was told of an SMS modem."""

    def _patients(self, gateway: Gateway | None) -> Home | None:
        if gateway is None:
            return None
        return Home(self.desk, self.live, self.front, self.blobs, gateway, self.leader, self._monotonic_s)

    def _fanout(self) -> Fanout:
        if not self.settings.nats:
            return Alone()
        if not self.settings.database.startswith("postgresql"):
            raise BadInput("Several processes need PostgreSQL: --database.", field="nats")
        own, keys = secrets.token_bytes(SENDER_BYTES), self.keys
        return NatsFanout(self.settings.nats, keys.data, keys.sign_public, own, self.wall_ms)

    def _exporter(self) -> Exporter | None:
        settings = self.settings
        if not settings.fhir_endpoint:
            return None
        endpoint = Endpoint(settings.fhir_endpoint, settings.fhir_token_file, frozenset(settings.fhir_consent))
        return Exporter(self.store, self.directory.site, endpoint, self.wall_ms)

    def _second_copy(self) -> Copier | None:
        if self.settings.copy is None:
            if self.store.read_now(has_history):
                self.store.write_now(end_history)
            return None
        if self.settings.database:
            raise CopyRefused("A second copy in a folder needs SQLite; PostgreSQL has replicas.", code="copy_sqlite")
        return Copier(self.store, FolderCopy(self.settings.copy), self.settings.data / DATABASE_FILE)

    def _second_shelf(self) -> shelf.Shelf | None:
        folder = self.settings.copied_blobs_folder
        if folder is None:
            return None
        shelf.sweep(folder, self.wall_ms() / 1000 - SWEEP_AFTER_S)
        return shelf.FolderShelf(folder)

    def _load_nodes(self) -> None:
        self._take_nodes(self.store.read_now(self._changed_nodes))

    def _changed_nodes(self, connection: Connection) -> directory.Changed:
        found = directory.load_changed(connection, self.keys, self._known_nodes)
        return found._replace(sites=[*found.sites, *home_sites.all_sites(connection)])

    def _take_nodes(self, found: directory.Changed) -> None:
        self._known_nodes = found.marks
        sites = {site.node_id: site for site in found.sites}
        for record in found.records:
            self.directory.put(record, sites[record.node_id.hex()])
        for site in found.sites:
            self.directory.put_site(site)

    def _visit_changed(self, visit_id: str) -> None:
        self._tell_pages(frozenset((visit_id,)), False)
        self.together.fanout.say(VisitsChanged((visit_id,), False))
        if self.home is not None:
            self.home.calls.visit_changed(visit_id)

    def _changed_elsewhere(self, visit_ids: frozenset[str], arrived: bool) -> None:
        """Another process has changed visits: its patients may have a page here."""
        self._tell_pages(visit_ids, arrived)
        if self.home is not None and not arrived:
            for visit_id in visit_ids:
                self.home.calls.visit_changed(visit_id)

    def reaches(self, node_id: str, visit_id: str) -> bool:
        """Whether a call would be heard now: the node is there, or a page of the patient at home is open."""
        if self.home is not None and self.home.calls.is_home(node_id):
            return self.home.calls.is_here(visit_id)
        return self.link.online(node_id)

    def _visits_arrived(self, visit_ids: frozenset[str]) -> None:
        self._tell_pages(visit_ids, True)
        self.together.fanout.say(VisitsChanged(tuple(visit_ids), True))

    def _tell_pages(self, visit_ids: frozenset[str], arrived: bool) -> None:
        """Pages of this process; without visits only the queue."""
        self.desk.opened.changed(visit_ids)
        self.rota.changed()
        for visit_id in visit_ids:
            self.live.visit_changed(visit_id)
        if arrived:
            self.live.records_arrived(visit_ids)
        if not visit_ids:
            self.live.queue_changed()

    async def start(self) -> None:
        """Hand over what nodes still lack, and begin to listen to signals."""
        if self.together.fanout.alone:  # else nodes that come here are told then
            for blob in await self.store.read(down.waiting):
                self.link.send_down(blob)
        await self.together.start()
        self.link.blobs = self.blobs  # not before: a command at rest leaves it to the hub that serves
        await self.blobs.start()  # after what was reconsidered: a piece of a photo may be among it
        self.updates.start()
        if self.home is not None:
            await self.home.start()
        self._tasks = [
            asyncio.create_task(self._hear_signals(), name="hub-signals"),
            asyncio.create_task(self._keep_loading(), name="hub-reload"),
            asyncio.create_task(self._keep_erasing(), name="hub-erasing"),
            asyncio.create_task(self.presence.keep_on(), name="hub-presence"),
        ]

    async def _reconsider(self) -> None:
        """An update may read what lay aside for it, and seals what lay there in plain."""
        plain, seen = await self.store.read(_finder(0))
        while seen:
            if plain:
                await self.store.write(_sealer(self.keys, plain))
            plain, seen = await self.store.read(_finder(seen))
        taken = 0
        for number in await self.store.read(of_a_later_release):
            try:
                taken += await self.store.write(_reconsiderer(self, number))
            except (QuarantineFull, LooseLimit, KeysRefused) as error:
                say(logger, "not_reconsidered", logging.WARNING, row=number, code=error.refusal.code)
        if taken:
            say(logger, "quarantine_reconsidered", bundles=taken)

    async def stop(self) -> None:
        """Finish what was begun and close the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.updates.stop()
        await self.together.stop()
        if self.home is not None:
            await self.home.close()
        await self.shown.flush(everything=True)
        await self.live.close()
        await self.link.close()
        await self.blobs.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.desk.close()
        if self.copier is not None:
            self.copier.close()
        self.store.close()

    async def enrol(self, body: bytes) -> bytes:
        """Enrol a node; the reply is sealed to it. Raises EnrolRefused."""
        reply = await self.store.write(
            lambda connection: directory.enrol_node(connection, self.keys, body, self.settings.ports, self.wall_ms())
        )
        await self.reload_nodes()
        say(logger, "node_enrolled")
        return reply

    async def is_ready(self) -> bool:
        """Whether the database answers."""
        return await self.store.read(lambda connection: connection.execute(select(1)).scalar() == 1)

    async def reload_nodes(self) -> None:
        """Take over what the database knows about nodes: of those that have changed, since each opens a sealed key."""
        self._take_nodes(await self.store.read(self._changed_nodes))

    async def publish_doctors(self) -> None:
        """Tell all nodes of doctors whom they were not told of, by this process or by one that has died meanwhile."""
        for staff in await self.store.read(directory.untold_doctors):
            told: set[str] = set()
            while True:
                left = await self.store.write(self.leader.fenced(_teller(staff, told, self.wall_ms())))
                if not left:
                    break
                for name in left:
                    blob = await self.store.write(self.leader.fenced(_speaker(self, name, staff)))
                    self.link.send_down(blob)
                told |= left

    async def _keep_loading(self) -> None:
        """See what commands of other processes changed: nodes, revocations, doctors. Forget sessions that are over."""
        while True:
            try:
                await self.reload_nodes()
                await self._reload_keys()
                await self.desk.forget_sessions()
                await self.desk.opened.sweep()
                await self.shown.flush()
                if self.front.leads:
                    await self.tell_revocations()
                    await self.publish_doctors()
                    await self._tell_on_call()
                    await self._free_visits()
            except Exception:
                logger.exception("reloading failed")  # a database that went away comes back
            await asyncio.sleep(RELOAD_S)

    async def _keep_erasing(self) -> None:
        """Apart from all else: it waits for files, and for a second copy whose disk may be gone for days."""
        while True:
            try:
                if self.front.leads:
                    await self.erasures.step()
            except Exception:
                logger.exception("erasing failed")
            await asyncio.sleep(RELOAD_S)

    async def _tell_on_call(self) -> None:
        """Tell nodes whom to ring, some at a time: the lists are not urgent, and the writer has more to do."""
        for node_id in await self.store.read(on_call.lacking):

            def act(connection: Connection, node_id: str = node_id) -> down.DownBlob:
                return on_call.tell(connection, self.speaker, node_id, self.wall_ms())

            self.link.send_down(await self.store.write(self.leader.fenced(act)))

    async def _free_visits(self) -> None:
        """Look for visits of who treats nobody, after an account was closed or got another role, and at the start."""
        closed = await self.store.read(directory.who_treats_nobody)
        if closed - self._freed:
            await self.desk.free_visits()
            await self.store.write(self.leader.fenced(directory.forget_told))
        self._freed = closed

    async def _reload_keys(self) -> None:
        """Destroy KEM keys that are due, take over a new one, and tell the nodes that do not know it."""
        data, now_ms, now_s = self.settings.data, self.wall_ms(), self._monotonic_s()
        if self.front.leads:
            await asyncio.to_thread(lambda: self._lived.note(now_s, least_hours(data)))
            await asyncio.to_thread(destroy_old, data, now_ms)
        keys = await asyncio.to_thread(load_keys, data)
        if keys.hub != self.keys.hub:
            self.keys = keys
            self.link.endpoint.use_keys(keys.hub)
            say(logger, "kem_keys_changed", keys=len(keys.hub.kem))
        if not self.front.leads:
            return
        if await self.store.read(lambda connection: down.lacking_key(connection, keys)):
            told = await self.store.write(
                self.leader.fenced(lambda connection: down.tell_key(connection, self.speaker, keys, now_ms))
            )
            for blob in told:
                self.link.send_down(blob)

    async def tell_revocations(self) -> None:
        """Make the lists of what is revoked anew after a change, and tell those nodes that can be told by link."""
        mark = await self.store.read(lambda connection: revocations.fingerprint(connection, self.keys))
        if mark == self._revoked_mark:
            return
        if not await self.store.read(lambda connection: revocations.is_due(connection, self.keys)):
            self._revoked_mark = mark
            return

        def act(connection: Connection) -> list[down.DownBlob]:
            now_ms = self.wall_ms()
            told = revocations.refresh(connection, self.keys, now_ms)
            return revocations.tell(connection, self.speaker, told, now_ms)

        for blob in await self.store.write(self.leader.fenced(act)):
            self.link.send_down(blob)
        self._revoked_mark = mark

    async def _hear_signals(self) -> None:
        while True:
            node_id, blob = await self.link.signals.get()
            try:
                if is_message(blob):
                    await self.link.answer_locked(node_id, blob)
                else:
                    await self.live.from_node(node_id, blob)
            except Exception:
                logger.exception("signal failed")


def _reconsiderer(hub: Hub, number: int) -> Callable[[Connection], bool]:
    return lambda connection: reconsider(connection, number, hub.directory.by_id, hub.keys, hub.wall_ms())


def _teller(staff: StaffPublished, told: set[str], now_ms: int) -> Callable[[Connection], set[str]]:
    return lambda connection: directory.tell_of(connection, staff, told, now_ms)


def _speaker(hub: Hub, node_id: str, staff: StaffPublished) -> Callable[[Connection], down.DownBlob]:
    return lambda connection: down.speak(connection, hub.speaker, node_id, (staff,), "", hub.wall_ms())


def _finder(after: int) -> Callable[[Connection], tuple[list[int], int]]:
    return lambda connection: find_plain(connection, after)


def _sealer(keys: Keyring, numbers: list[int]) -> Callable[[Connection], None]:
    return lambda connection: seal_plain(connection, keys, numbers)
