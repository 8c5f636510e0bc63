"""What can be wrong with a catalogue as a whole."""


class CatalogueError(ValueError):
    """There is no catalogue to work with: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"catalogue {where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


class CatalogueHeld(CatalogueError):
    """It changed so much that a person must say it is meant; nothing is done by it until then."""


class CatalogueOvertaken(CatalogueError):
    """While it was read another reading of it was obeyed, which may be the newer one."""
