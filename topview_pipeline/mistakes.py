"""The errors that tell a user what to mend; every other one is a bug and keeps its traceback."""


def users_mistakes() -> tuple[type[Exception], ...]:
    """Their classes, for an `except`.

    A function, because the modules that define them bring database and HTTP along.
    """
    from topview_pipeline.artifacts import StoreError
    from topview_pipeline.catalogue import CatalogueError
    from topview_pipeline.ledger import LedgerError
    from topview_pipeline.settings import SettingsError
    from topview_pipeline.stages import UnknownStageError
    from topview_pipeline.topview.errors import TopviewError

    return (
        CatalogueError,
        LedgerError,
        SettingsError,
        StoreError,
        TopviewError,
        UnknownStageError,
    )
