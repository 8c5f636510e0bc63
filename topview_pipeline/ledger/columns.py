"""Types of columns that the ledger's tables have beside SQLAlchemy's own."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa

_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")


class ForeignText(sa.types.TypeDecorator[str]):
    """Text that Topview wrote: what no database column takes is kept as U+FFFD.

    A NUL or half a surrogate pair in a message would else end the run that wants to keep it.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """See TypeDecorator."""
        return None if value is None else _NO_TEXT.sub("\ufffd", value)
