"""Doctors' open pages: who has one, here or at another process of the hub, and what all or some of them are told.

Knows no call.
"""

from . import fanout as fan
from .live_sides import Console, QueueChanged, RotaChanged, Told, VisitChanged, to_text
from .peers import Peers


class Pages:
    """All consoles of this process."""

    def __init__(self) -> None:
        self._consoles: set[Console] = set()
        self.fanout: fan.Fanout = fan.Alone()
        self.peers: Peers | None = None
        """Other processes of this hub, when there are some."""

    def add(self, console: Console) -> None:
        self._consoles.add(console)

    def remove(self, console: Console) -> None:
        self._consoles.discard(console)

    def visit_changed(self, visit_id: str) -> None:
        """Tell all consoles that a visit and the queue have changed."""
        self._broadcast(VisitChanged(visit_id))
        self._broadcast(QueueChanged())

    def queue_changed(self) -> None:
        self._broadcast(QueueChanged())

    def has_page(self, doctor_id: str) -> bool:
        """Whether a doctor has a page open, here or at another process."""
        here = any(console.doctor.doctor_id == doctor_id for console in self._consoles)
        return here or (self.peers is not None and self.peers.has_page(doctor_id))

    def doctors_here(self) -> tuple[str, ...]:
        """Who has a page open at this process."""
        return tuple(sorted({console.doctor.doctor_id for console in self._consoles}))

    def tell_rota(self, doctor_id: str = "") -> None:
        """Tell the pages of one doctor, or all pages, that the rota has changed."""
        self.tell_rota_here(doctor_id)
        self.fanout.say(fan.RotaTold(doctor_id))

    def tell_rota_here(self, doctor_id: str) -> None:
        """The same, to the pages of this process."""
        text = to_text(RotaChanged())
        for console in self._consoles:
            if doctor_id in ("", console.doctor.doctor_id):
                console.tell(text)

    def tell_person(self, person_id: str, message: Told) -> None:
        """Tell all pages of one person, whatever process they are at."""
        text = to_text(message)
        self.tell_person_here(person_id, text)
        self.fanout.say(fan.ToPerson(person_id, text))

    def tell_person_here(self, person_id: str, text: str) -> None:
        """The same, to the pages of this process."""
        for console in self._consoles:
            if console.doctor.doctor_id == person_id:
                console.tell(text)

    def _broadcast(self, message: Told) -> None:
        text = to_text(message)
        for console in self._consoles:
            console.tell(text)
