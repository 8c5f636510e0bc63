"""What to do about an order that waits, by the reason why. One table for run, checks and gallery.

What a single case needs beyond that, such as a command with its product, is in the order's own
detail.
"""

from collections.abc import Mapping
from typing import Final

from topview_pipeline.ledger import HeldReason

HELD: Final[Mapping[HeldReason, str]] = {
    HeldReason.PAUSE: "mend the account's key or credits; it goes on by itself after a good probe",
    HeldReason.RETRY: "nothing: it is tried again by itself, or at once by an explicit run",
    HeldReason.UNKNOWN: "compare with Topview's task list (topview-pipeline tasks list --state "
    "unknown), then adopt or release it; it is never sent again by itself",
    HeldReason.STALLED: "nothing: Topview is asked hourly for seven days; topview-pipeline tasks "
    "release gives it up before",
    HeldReason.EXPIRED: "topview-pipeline run --force for this product has it made, and paid, anew",
    HeldReason.DEAD_IMAGE: "materialize replacedImages and finishedVideo of this product together",
    HeldReason.CHOICE: "choose an image of the new scene, then run it again",
    HeldReason.DOWNLOAD: "look after the store's place and rights; the download is tried again by "
    "itself",
    HeldReason.UPSTREAM: "see the stage before it",
    HeldReason.BUDGET: "nothing: it goes on after midnight UTC, or raise TOPVIEW_CREDIT_LIMIT",
    HeldReason.RUN_LIMIT: "run it again, with a higher credit limit or none",
    HeldReason.LOST_ROW: "topview-pipeline tasks rebuild; it goes on by itself then",
    HeldReason.CATALOGUE: "mend or add its row in the catalogue; it is looked at again hourly",
}
"""Half sentences, for a table's cell or behind `What to do:`."""
