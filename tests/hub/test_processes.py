"""Several processes of a hub on one database: they wait for each other where they must, and nowhere for ever."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyotp
import pytest
from sqlalchemy import Connection, func, select, text

from edge.web.refusals import WrongPin
from hub import audit, doctors
from hub.leader import GIVE_UP, Leader
from hub.rota import store as rota
from hub.store.dialect import lock
from hub.store.engine import Store
from hub.store.schema import audit as lines
from hub.store.schema import failures, rota_doctors
from tests.kits.postgres import Postgres

from .kit import PASSWORD, HubKit

T = TypeVar("T")
JOBS = 40


def _job(number: int, names: tuple[str, str]) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        for name in names:
            lock(connection, name)
            audit.record(connection, number, "anil", "visit_taken", name)
        return number

    return work


def test_two_processes_that_want_the_same_visits_in_opposite_order_both_go_on_and_one_chain_holds(
    postgres: Postgres, migrated: str
) -> None:
    url = postgres.database(migrated)
    here, there = Store(url), Store(url)
    try:
        futures = []
        for number in range(JOBS):
            futures += [
                here.write_later(_job(number, ("one", "two"))),
                there.write_later(_job(number, ("two", "one"))),
            ]
        assert sorted(future.result(60) for future in futures) == sorted(2 * list(range(JOBS)))
        assert here.read_now(audit.verify) == 0
        assert here.read_now(lambda c: c.execute(select(func.count()).select_from(lines)).scalar()) == 4 * JOBS
    finally:
        here.close()
        there.close()


def test_of_an_act_that_failed_no_audit_line_stays_and_the_others_of_its_commit_have_theirs(
    postgres: Postgres, migrated: str
) -> None:
    store = Store(postgres.database(migrated))

    def fail(connection: Connection) -> None:
        audit.record(connection, 1, "anil", "visit_taken", "undone")
        raise ValueError("refused")

    try:
        first = store.write_later(_job(1, ("one", "two")))
        failed = store.write_later(fail)
        second = store.write_later(_job(2, ("one", "two")))
        assert (first.result(20), second.result(20)) == (1, 2)
        assert isinstance(failed.exception(20), ValueError)
        subjects = store.read_now(lambda c: c.execute(select(lines.c.subject).order_by(lines.c.seq)).scalars().all())
        assert list(subjects) == ["one", "two", "one", "two"]
    finally:
        store.close()


def test_a_job_behind_another_in_its_transaction_is_not_lost_to_a_deadlock(postgres: Postgres, migrated: str) -> None:
    """What the other process waits for is held by the job before: only the commit gives it free."""
    url = postgres.database(migrated)
    stores = Store(url), Store(url)
    gate, both_have_one = threading.Event(), threading.Barrier(2)

    def have(name: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            lock(connection, name)
            both_have_one.wait(60)

        return work

    def want(name: str) -> Callable[[Connection], str]:
        def work(connection: Connection) -> str:
            lock(connection, name)
            return name

        return work

    try:
        wanted = []
        for store, own, other in ((stores[0], "one", "two"), (stores[1], "two", "one")):
            store.write_later(lambda connection: gate.wait(60))  # what comes meanwhile is one group
            store.write_later(have(own))
            wanted.append(store.write_later(want(other)))
        gate.set()
        assert [future.result(60) for future in wanted] == ["two", "one"]
    finally:
        gate.set()
        for store in stores:
            store.close()


def test_who_leads_hears_within_seconds_that_the_database_has_vanished(postgres: Postgres, migrated: str) -> None:
    store = Store(postgres.database(migrated))
    leader = Leader(store.engine)
    try:
        assert leader.look()
        assert leader._held is not None
        given = leader._held.connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]
        assert {name: int(given[name]) for name in GIVE_UP} == GIVE_UP
        assert given["tcp_user_timeout"] == "10000"
    finally:
        leader.close()
        store.close()


def _meanwhile(here: Store, first: Callable[[Connection], object], other: Callable[[], T]) -> T:
    """What ``other`` comes to, which waits for the transaction of ``first`` in another process."""
    blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor() as pool:
        with here.engine.connect().execution_options(writing=True) as connection, connection.begin():
            first(connection)
            waiting = pool.submit(other)
            patience_s = time.monotonic() + 60
            while not connection.execute(blocked).scalar():
                assert time.monotonic() < patience_s
                assert not waiting.done()
        return waiting.result(60)


def test_a_code_that_two_processes_are_given_at_the_same_time_logs_in_once_and_both_mistakes_count(
    postgres: Postgres, migrated: str, tmp_path: Path
) -> None:
    kit = HubKit(tmp_path / "hub", postgres.database(migrated))
    here, there, keys, now_ms = kit.hub.store, Store(kit.settings.database), kit.hub.keys, kit.clock.ms
    doctor = doctors.Doctor("asha", "Dr Asha Rao", "12345 MCI", "MBBS", "044-555")
    key = doctors.user_key("asha")
    try:
        secret = here.write_now(lambda connection: doctors.add_doctor(connection, keys, doctor, PASSWORD, now_ms))
        account = here.read_now(lambda connection: doctors.find_account(connection, "asha"))
        assert account is not None
        code = pyotp.TOTP(secret).at(now_ms // 1000)

        def log_in(connection: Connection) -> None:
            if not doctors.accept_code(connection, keys, account, code, now_ms):
                raise doctors.wrong_login()
            doctors.logged_in(connection, "asha", now_ms, key)

        with pytest.raises(WrongPin):
            _meanwhile(here, log_in, lambda: there.write_now(log_in))

        def mistake(connection: Connection) -> None:
            doctors.note_failure(connection, key, now_ms)

        here.write_now(mistake)
        _meanwhile(here, mistake, lambda: there.write_now(mistake))
        assert here.read_now(lambda connection: connection.execute(select(failures.c.count)).scalar()) == 3
    finally:
        there.close()
        here.close()


def test_a_doctor_sits_down_at_one_process_while_another_changes_for_whom_she_may_be_asked(
    postgres: Postgres, migrated: str
) -> None:
    url = postgres.database(migrated)
    here, there = Store(url), Store(url)
    english = rota.Profile(languages=("en",))
    try:
        here.write_now(lambda connection: rota.put_ready(connection, "asha", 0))
        _meanwhile(
            here,
            lambda connection: rota.put_profile(connection, "asha", english),
            lambda: there.write_now(lambda connection: rota.put_ready(connection, "asha", 7)),
        )
        row = here.read_now(lambda connection: connection.execute(select(rota_doctors)).one())
        assert (row.ready_ms, here.read_now(lambda c: rota.load_profile(c, "asha")).languages) == (7, ("en",))
    finally:
        here.close()
        there.close()
