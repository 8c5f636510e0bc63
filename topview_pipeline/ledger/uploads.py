"""File ids that Topview gave for bytes of ours, so that the same bytes are uploaded once."""

from __future__ import annotations

import sqlalchemy as sa

from topview_pipeline.ledger.database import upsert
from topview_pipeline.ledger.part import Part
from topview_pipeline.ledger.schema import upload


class Uploads(Part):
    """The uploaded files of one account, by their sha256."""

    def find(self, sha256: str) -> str | None:
        """The file id of these bytes, if they were uploaded."""
        return self._db.scalar(sa.select(upload.c.file_id).where(*self._of(sha256)))

    def remember(self, sha256: str, file_id: str, *, format: str) -> None:  # noqa: A002
        """Keep the file id of bytes just uploaded; the newest counts."""
        with self._db.write(lock=self._account) as connection:
            row = {"file_id": file_id, "format": format, "uploaded_at": self._db.now(connection)}
            upsert(connection, upload, [{"account": self._account, "sha256": sha256, **row}])

    def forget(self, sha256: str, *, file_id: str) -> None:
        """Topview no longer knows this file id; a newer one of the same bytes stays."""
        mine = *self._of(sha256), upload.c.file_id == file_id
        with self._db.write(lock=self._account) as connection:
            connection.execute(upload.delete().where(*mine))

    def _of(self, sha256: str) -> tuple[sa.ColumnElement[bool], ...]:
        return upload.c.account == self._account, upload.c.sha256 == sha256
