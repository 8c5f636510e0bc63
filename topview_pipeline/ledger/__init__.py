"""The money: what was ordered, what was sent to Topview, what it cost and where it is.

`Ledger` is the one door. It knows nothing of Dagster, HTTP or the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable

from topview_pipeline.ledger.accounts import Accounts, Pause, account_id
from topview_pipeline.ledger.browsing import Browsing, TaskEvent, TaskPage
from topview_pipeline.ledger.budget import Budget, Spent, midnight_after
from topview_pipeline.ledger.catalogue_rows import HeldCatalogue, Retired, Seen
from topview_pipeline.ledger.catalogues import Catalogues
from topview_pipeline.ledger.choices import Choice, Choices, ChosenScene
from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.errors import (
    IllegalMove,
    LedgerError,
    LedgerUnavailable,
    LedgerVersion,
    Overtaken,
)
from topview_pipeline.ledger.kept import KeptChoice, KeptResult, KeptUse, Rebuilt
from topview_pipeline.ledger.memory import CostSeen, History, Uploads
from topview_pipeline.ledger.orders import Orders
from topview_pipeline.ledger.overview import TaskGlance, TaskOverview
from topview_pipeline.ledger.owner import Owner
from topview_pipeline.ledger.producers import Producers
from topview_pipeline.ledger.progress import OrderProgress, ProgressReader
from topview_pipeline.ledger.rebuilding import Rebuilding
from topview_pipeline.ledger.recipes import Recipes
from topview_pipeline.ledger.rows import (
    AlreadyLive,
    NoSlot,
    OrderChanged,
    OrderClosed,
    OverLimit,
    Paused,
    Reservation,
    ReserveAnswer,
    Reserved,
    Task,
)
from topview_pipeline.ledger.standing import LastOrder, Standing
from topview_pipeline.ledger.states import ASK_STALLED_SECONDS, HeldReason, OrderState, TaskState
from topview_pipeline.ledger.storelink import StoreLink
from topview_pipeline.ledger.tasks import Tasks
from topview_pipeline.ledger.unknowns import Unknowns
from topview_pipeline.ledger.wishes import (
    ForceRefused,
    Order,
    Placed,
    Wanted,
    due_at,
    wait_until,
)

__all__ = [
    "ASK_STALLED_SECONDS",
    "AlreadyLive",
    "Choice",
    "ChosenScene",
    "CostSeen",
    "ForceRefused",
    "HeldCatalogue",
    "HeldReason",
    "IllegalMove",
    "KeptChoice",
    "KeptResult",
    "KeptUse",
    "LastOrder",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "LedgerVersion",
    "NoSlot",
    "Order",
    "OrderChanged",
    "OrderClosed",
    "OrderProgress",
    "OrderState",
    "OverLimit",
    "Overtaken",
    "Owner",
    "Pause",
    "Paused",
    "Placed",
    "Rebuilt",
    "Reservation",
    "ReserveAnswer",
    "Reserved",
    "Retired",
    "Seen",
    "Spent",
    "Task",
    "TaskEvent",
    "TaskGlance",
    "TaskPage",
    "TaskState",
    "Wanted",
    "account_id",
    "due_at",
    "midnight_after",
    "wait_until",
]


class Ledger:
    """The ledger of one account: its origin and uid name it, its key is never seen here."""

    def __init__(
        self,
        url: str,
        *,
        base_url: str,
        uid: str,
        clock: Callable[[], float] | None = None,
        observer: Owner | None = None,
    ) -> None:
        """Open (and on first use create) the ledger.

        Args:
            url: SQLAlchemy URL of the database.
            base_url: of Topview; its origin is part of the account.
            uid: the account's Topview-Uid.
            clock: seconds since the epoch, for tests; by default the database's clock.
            observer: who looks at other producers' processes; by default this process.

        Raises:
            LedgerUnavailable: it cannot be opened or written.
            LedgerVersion: it was written with another schema.
        """
        self._database = Database(url, clock=clock)
        self.accounts = Accounts(self._database, base_url=base_url, uid=uid)
        self.account = self.accounts.id
        self.orders = Orders(self._database, self.account)
        self.tasks = Tasks(self._database, self.account)
        self.unknowns = Unknowns(self._database, self.account)
        self.browsing = Browsing(self._database, self.account)
        self.overview = TaskOverview(self._database, self.account)
        self.producers = Producers(self._database, self.account, observer=observer)
        self.uploads = Uploads(self._database, self.account)
        self.choices = Choices(self._database, self.account)
        self.budget = Budget(self._database, self.account)
        self.catalogues = Catalogues(self._database, self.account)
        self.recipes = Recipes(self._database, self.account)
        self.history = History(self._database, self.account)
        self.progress = ProgressReader(self._database, self.account)
        self.store_link = StoreLink(self._database, self.account)
        self.standing = Standing(self._database, self.account)
        self.rebuilding = Rebuilding(self._database, self.account)

    def now(self) -> float:
        """The ledger's clock, in seconds since the epoch."""
        with self._database.read() as connection:
            return self._database.now(connection)

    def leave(self, owner: Owner) -> None:
        """A producer is gone: nobody works on its rows and open orders any more."""
        self.tasks.give_up(owner.id)
        self.orders.give_up(owner.id)
        self.producers.end(owner)

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()
