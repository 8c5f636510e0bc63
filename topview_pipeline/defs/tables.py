"""Tables in metadata, short enough that an event of 20,000 products can be stored and looked at."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import dagster as dg

MOST_ROWS: Final = 1000


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.TableMetadataValue:
    """The first thousand rows; after them a row that says how many more there are.

    Args:
        rows: a text for each column.
    """
    coming = iter(rows)
    shown = [dict(zip(columns, row, strict=True)) for row in islice(coming, MOST_ROWS)]
    more = sum(1 for _ in coming)
    if more:
        shown.append({**dict.fromkeys(columns, ""), columns[0]: f"... and {more:,} more"})
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in shown],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )
