"""A ledger on a server: it is away, it forgets us, it waits, and it has a clock."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import MOVES, WAYS, Clock, ask, bring, open_at, reserve
from tests.postgres import Postgres
from topview_pipeline.ledger import Ledger, LedgerUnavailable, NoSlot, TaskState
from topview_pipeline.ledger.schema import account, task


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.emptied()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    opened = open_at(url, clock)
    yield opened
    opened.close()


def test_a_missing_driver_is_named_with_its_extra(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(LedgerUnavailable, match=r"pip install 'topview-pipeline\[postgres\]'$"):
        open_at(f"{url}&application_name=new")  # of known URLs the process has an engine


def test_a_server_that_is_away(url: str) -> None:
    with pytest.raises(LedgerUnavailable, match=r"failed.*nothing was submitted.*server runs"):
        open_at(url.partition("?")[0] + "?host=/nowhere")


def test_connections_that_the_server_closed_are_made_again(
    postgres: Postgres, ledger: Ledger
) -> None:
    row = reserve(ledger)
    statements: list[str] = []
    noted = ledger._database.engine, "before_cursor_execute"
    sa.event.listen(*noted, lambda *given: statements.append(given[2]))
    for _ in range(2):
        postgres.cut_connections()
        assert ledger.tasks.get(row.id) == row
    assert len(statements) == 2, "a connection that is there is not asked if it is"
    postgres.cut_connections()
    assert MOVES["accepted"](ledger, row.id).state is TaskState.PENDING


def test_a_connection_that_breaks_within_a_step_undoes_the_step(
    postgres: Postgres, ledger: Ledger
) -> None:
    row = reserve(ledger)

    def cut_off() -> None:
        with ledger._database.write(lock=ledger.account) as connection:
            connection.execute(task.update().values(mode="changed"))
            postgres.cut_connections()
            connection.execute(sa.select(1))

    with pytest.raises(LedgerUnavailable, match="The connection is gone, and perhaps this step"):
        cut_off()
    assert ledger.tasks.get(row.id) == row


@pytest.fixture
def impatient(url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger that waits 50 ms for a lock."""
    monkeypatch.setattr("topview_pipeline.ledger.database.LOCK_WAIT_SECONDS", 0.05)
    opened = open_at(url, clock)
    yield opened
    opened.close()


@contextmanager
def locked_account(url: str) -> Iterator[None]:
    """Another program is within a transaction of the account."""
    engine = sa.create_engine(url)
    with engine.begin() as other:
        other.execute(sa.select(account).with_for_update())
        yield
    engine.dispose()


def test_a_lock_that_another_program_keeps(url: str, impatient: Ledger) -> None:
    with locked_account(url):
        with pytest.raises(LedgerUnavailable, match=r"lock timeout.*This step was not written"):
            reserve(impatient)
        assert impatient.tasks.to_decide("work of a", "a", None).rows == []
    reserve(impatient)


@pytest.mark.parametrize(
    ("state", "move"),
    [(state, ways[-1]) for state, ways in WAYS.items() if ways] + [(TaskState.STORED, "file_gone")],
)
def test_no_row_moves_while_a_reservation_adds_them_up(
    url: str, impatient: Ledger, state: TaskState, move: str
) -> None:
    """It would be gone from what is expected, and not yet be among what is booked."""
    row = bring(impatient, reserve(impatient), state)
    with locked_account(url), pytest.raises(LedgerUnavailable, match="lock timeout"):
        MOVES[move](impatient, row.id)
    assert impatient.tasks.get(row.id) == row


def test_writers_of_two_accounts_do_not_wait_for_each_other(url: str, impatient: Ledger) -> None:
    ours = open_at(url, uid="other")
    with ours._database.write(lock=ours.account):
        reserve(impatient)
    ours.close()


def test_a_writer_sees_what_the_one_before_it_wrote(url: str, ledger: Ledger) -> None:
    """Its own transaction began earlier: while it waited, the account's slot was taken."""
    other = open_at(url)
    row = reserve(other, "a")
    MOVES["void"](other, row.id)
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(other, "b", slots=1)))
    waits = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with ledger._database.write(lock=ledger.account) as connection:
        waiting.start()
        while not connection.scalar(waits):
            connection.execute(sa.text("SELECT pg_stat_clear_snapshot()"))
            time.sleep(0.005)
        connection.execute(task.update(), {"state": TaskState.PENDING})
    waiting.join()
    assert answers == [NoSlot(1)]
    other.close()


def test_the_servers_clock_counts_and_goes_on_within_a_transaction(url: str) -> None:
    ledger = open_at(url)
    assert abs(ledger.now() - time.time()) < 5.0
    with ledger._database.write() as connection:
        before = ledger._database.now(connection)
        connection.execute(sa.text("SELECT pg_sleep(0.01)"))
        assert ledger._database.now(connection) >= before + 0.01
    ledger.close()


def test_a_commit_is_on_the_servers_disk_whatever_the_database_is_set_to(
    postgres: Postgres,
) -> None:
    url = postgres.create()
    database = sa.make_url(url).database
    postgres.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    ledger = open_at(url)
    with ledger._database.read() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    ledger.close()
