"""The account's tasks in a database: every attempt, what was sent, what came of it, what it cost.

`Ledger` is the only entrance. It knows nothing of Dagster, HTTP or the stages.
"""

from topview_pipeline.ledger.budget import limit_reached, without_price
from topview_pipeline.ledger.catalogue_state import LIVING_SECONDS, NameTaken
from topview_pipeline.ledger.database import LedgerError, LedgerUnavailable, LedgerVersion
from topview_pipeline.ledger.history import TaskEvent
from topview_pipeline.ledger.ledger import Ledger, account_id
from topview_pipeline.ledger.task_row import (
    LIVE,
    MOVES,
    NO_REVIEW,
    AlreadyLive,
    Decided,
    NoSlot,
    OverLimit,
    Priced,
    Reservation,
    ReserveAnswer,
    Reserved,
    Review,
    ReviewDecision,
    Task,
    TaskGlance,
    TaskState,
    ToDecide,
    Tried,
)
from topview_pipeline.ledger.tasks import IllegalMove
from topview_pipeline.ledger.workers import (
    ASK_OVERDUE_SECONDS,
    ATTEMPTS_BY_ITSELF,
    DEAD_AFTER_SECONDS,
    HEARTBEAT_SECONDS,
)
