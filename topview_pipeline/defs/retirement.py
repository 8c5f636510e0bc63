"""Products that left the catalogue long ago are forgotten, for the command and the job `purge`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.run import pair
from topview_pipeline.store import StoreError

if TYPE_CHECKING:
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.ledger import Ledger, Task

_DAY_SECONDS: Final = 86_400.0


def forgettable(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    ledger: Ledger,
    *,
    days: int,
    media: bool,
) -> tuple[dict[str, list[Task]], list[str]]:
    """The products that go, each with the rows that go with it, and those that stay."""
    from topview_pipeline.ledger.catalogue_state import is_on_its_way

    pair(instance, ledger, topview, write=False)
    going: dict[str, list[Task]] = {}
    staying: list[str] = []
    for product in ledger.retired.before(days * _DAY_SECONDS):
        rows = ledger.retired.tasks(product)
        if any(map(is_on_its_way, rows)):
            staying.append(product)
            continue
        shared = ledger.retired.shared(product, rows) if media else set()
        going[product] = [row for row in rows if media and row.id not in shared]
    return going, staying


def forget(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    ledger: Ledger,
    going: Mapping[str, Sequence[Task]],
    *,
    who: str,
    why: str = "",
) -> None:
    """Remove the products' partitions, the decisions about them, these rows and their files."""
    for product, rows in going.items():
        for row in rows:
            _remove_files(topview.config.store, ledger.account, row)
        # The rows name the files: they go last, so that what was cut off is found again.
        ledger.retired.forget(product, rows, who=who, why=why)
        instance.delete_dynamic_partition(topview.outline.partition_set, product)


def _remove_files(store: str, account: str, row: Task) -> None:
    """Remove a row's files, its record and its index entry from the store."""
    from upath import UPath

    root = UPath(store)
    try:
        for key in _keys(account, row):
            (root / key).unlink(missing_ok=True)
        with contextlib.suppress(OSError, NotImplementedError):
            for key in {key.rpartition("/")[0] for key in _keys(account, row)}:
                (root / key).rmdir()  # of a disk; it refuses where files are left
    except Exception as error:  # fsspec's file systems raise what their vendors' libraries raise
        fix = "Let this role delete there, then purge again."
        what = f"a file of {row.product_id} cannot be deleted ({type(error).__name__})"
        raise StoreError(what, fix=fix) from error


def _keys(account: str, row: Task) -> Iterator[str]:
    for artifact in row.artifacts or ():
        yield artifact["path"]
    yield f"{account}/index/{row.fingerprint}.json"
