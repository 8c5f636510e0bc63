"""What can go wrong with the ledger itself.

LedgerError
├── LedgerUnavailable   locked, full, not writable, not to be reached: the transaction was not kept
├── LedgerVersion       written by a program with another schema
├── IllegalMove         a row is not where the caller believed it to be
└── Overtaken           a catalogue was obeyed while the caller still read it
"""

from __future__ import annotations


class LedgerError(Exception):
    """The ledger cannot be used; the message says where it is and how to mend it."""


class LedgerUnavailable(LedgerError):
    """The database cannot be opened, read or written."""


class LedgerVersion(LedgerError):
    """The database has a schema that this program does not know."""


class IllegalMove(LedgerError):
    """A row was moved by somebody else, or the move is not in the table of moves."""


class Overtaken(LedgerError):
    """Another reading of a catalogue was obeyed since this one began: it may be the newer one."""
