"""What can be wrong with a reference."""


class SourceError(ValueError):
    """A reference that gives no bytes: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


class SourceTimeout(SourceError):
    """Its server did not answer, or not to the end, within the time."""
