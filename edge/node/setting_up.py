"""Setting a new node up at a tablet: set-up code, enrolment, recovery code, the first people with their badges.

The enrolment and the first badge belong together: until somebody can unlock the node, a power cut makes it begin
anew with a new token, and nothing is lost by that, because nobody was treated yet. Knows no socket but the hub's.
"""

import hmac
import shutil
from enum import StrEnum
from pathlib import Path

import msgspec

from edge.model import provisioning
from edge.model.errors import Fault, Refusal, Refused, UpkendraError
from edge.model.records import Role
from edge.sync import enrol

from . import lan_tls, provision
from .config import NODE_FILE, NodeConfig, load_config, write_private
from .first_boot import SITE_FILE, load_site
from .unlock import Slots
from .views import Staff

TRIES = 5
WAIT_S = 60.0
"""After every five wrong codes."""
SHOWN_AGAIN = 4
"""Last characters of the recovery code that are asked for, to see that it was written down."""


class WrongCode(UpkendraError):
    """This is not the set-up code. It is eight digits, shown when the provisioning file was made."""

    code = "wrong_setup_code"
    fault = Fault.CALLER


class Step(StrEnum):
    """What comes next."""

    NO_FILE = "no_file"
    """No provisioning file was on the card."""
    ENROL = "enrol"
    NEW_TOKEN = "new_token"  # noqa: S105 - a step's name
    """The token was used or refused, or the power went away in the middle: a new one is needed."""
    RECOVERY = "recovery"
    STAFF = "staff"
    DONE = "done"


class SetupNow(msgspec.Struct, frozen=True):
    """How far it is. ``problem``: why the last step did not work, with what to do."""

    step: Step
    hub: str
    site: str
    staff: tuple[Staff, ...]
    returning: tuple[Staff, ...]
    """Who worked at the node that this one replaces, and has no badge here yet."""
    can_finish: bool
    problem: Refusal | None = None


class SettingUp:
    """One set-up. Call its methods one at a time."""

    def __init__(self, folder: Path) -> None:
        """Blocking. Raises BadInput when the kept provisioning file is damaged."""
        self._folder = folder
        self._site = load_site(folder)
        self._recovery = ""
        self._seen = False
        self._staff: list[Staff] = []
        self._returning: list[Staff] = []
        self._name = ""
        self._problem: Refusal | None = None
        self._wrong = 0
        self._until_s = 0.0
        slots = Slots(folder).load()
        self._has_badge = any(slot.kind == "badge" for slot in slots)
        self._was_cut = not self._has_badge and (folder / NODE_FILE).exists()

    @property
    def is_needed(self) -> bool:
        """Whether this node has to be set up before it serves."""
        return self._site is not None or not (self._folder / NODE_FILE).exists()

    def now(self) -> SetupNow:
        """What to show."""
        hub = self._site.hub if self._site is not None else ""
        return SetupNow(
            self._step(),
            hub,
            self._name,
            tuple(self._staff),
            tuple(self._returning),
            self._has_badge and self._seen_or_lost,
            self._problem,
        )

    @property
    def _seen_or_lost(self) -> bool:
        """A recovery code that this process does not know was shown by an earlier one."""
        return self._seen or not self._recovery

    def _step(self) -> Step:
        if not self.is_needed:
            return Step.DONE
        if self._site is None:
            return Step.NO_FILE
        if self._has_badge:
            return Step.STAFF
        if self._was_cut:
            return Step.NEW_TOKEN
        if self._recovery:
            return Step.STAFF if self._seen else Step.RECOVERY
        if self._problem is not None and self._problem.code not in ("hub_unreachable", "internal"):
            return Step.NEW_TOKEN
        return Step.ENROL

    def check_code(self, code: str, now_s: float) -> None:
        """Whether this is the technician. Raises WrongCode, Refused (too many, or no file)."""
        if self._site is None:
            raise Refused("No provisioning file was on the card.", code="no_provision_file")
        if now_s < self._until_s:
            raise Refused(f"Too many wrong codes. Wait {self._until_s - now_s:.0f} seconds.", code="too_many_attempts")
        if not hmac.compare_digest(code.encode(), self._site.setup_code.encode()):
            self._wrong += 1
            if self._wrong % TRIES == 0:
                self._until_s = now_s + WAIT_S
            raise WrongCode("This is not the set-up code of this card.")

    async def enrol(self) -> SetupNow:
        """Ask the hub. What goes wrong is told in ``problem``; a network that is missing can come later."""
        self._must_be(Step.ENROL)
        assert self._site is not None
        try:
            site = self._site
            made = await provision.enrol_node(self._folder, site.hub, site.token, site.language)
        except UpkendraError as error:
            self._problem = error.refusal
            return self.now()
        self._problem = None
        self._recovery = made.recovery_code
        self._name = made.config.site.name
        self._returning = list(made.staff)
        return self.now()

    def new_token(self, text: str) -> SetupNow:
        """Begin anew with another token. Raises EnrolRefused (no token), Refused. Blocking."""
        self._must_be(Step.NEW_TOKEN)
        assert self._site is not None
        enrol.parse_token(text)
        compact = "".join(text.split()).upper()
        self._site = msgspec.structs.replace(self._site, token=compact)
        self._clear()
        write_private(self._folder / SITE_FILE, provisioning.encode(self._site))
        self._problem, self._was_cut = None, False
        return self.now()

    def _clear(self) -> None:
        """Delete a half-made node. Nobody could ever unlock it, so nobody's record is in it."""
        for path in self._folder.iterdir():
            if path.name in (SITE_FILE, lan_tls.FOLDER):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def recovery(self) -> str:
        """The recovery code, to be written down. Raises Refused."""
        self._must_be(Step.RECOVERY)
        return self._recovery

    def recovery_written(self, last: str) -> SetupNow:
        """The technician wrote it down: its last characters. Raises WrongCode, Refused."""
        self._must_be(Step.RECOVERY)
        if last.strip().upper() != self._recovery[-SHOWN_AGAIN:]:
            raise WrongCode("These are not its last characters. Look at the code again.", code="recovery_not_written")
        self._seen = True
        return self.now()

    async def add_staff(self, name: str, name_hi: str, role: Role, pin: str) -> tuple[Staff, str]:
        """A member of staff: who, and the badge to print once. Raises Refused, BadInput."""
        config = self._may_give_badge()
        opener = (self._recovery, "")
        member, badge = await provision.add_staff(self._folder, config, opener, name, name_hi, role, pin)
        return self._gave(member), badge

    async def renew_badge(self, staff_id: str, pin: str) -> tuple[Staff, str]:
        """A badge for somebody of the node that was replaced. Raises NotFound, Refused."""
        config = self._may_give_badge()
        member, badge = await provision.renew_badge(self._folder, config, (self._recovery, ""), staff_id, pin)
        return self._gave(member), badge

    def _may_give_badge(self) -> NodeConfig:
        self._must_be(Step.STAFF)
        if not self._recovery:
            raise Refused("Somebody has a badge already. Finish, and add people with that badge.", code="setup_over")
        return load_config(self._folder)

    def _gave(self, member: Staff) -> Staff:
        self._staff.append(member)
        self._returning = [one for one in self._returning if one.staff_id != member.staff_id]
        self._has_badge = True
        return member

    def finish(self) -> SetupNow:
        """The node is set up: what the card brought is deleted. Raises Refused. Blocking."""
        self._must_be(Step.STAFF)
        if not self.now().can_finish:
            raise Refused("Nobody could unlock this node yet. Add somebody first.", code="setup_needs_staff")
        (self._folder / SITE_FILE).unlink(missing_ok=True)
        self._site, self._recovery = None, ""
        return self.now()

    def _must_be(self, step: Step) -> None:
        if self._step() is not step:
            raise Refused("That is not the next step. Load the page again.", code="setup_step")
