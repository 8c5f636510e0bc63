"""The source that a setting names: a file, or a source of your own by its import path."""

import importlib
import sys
from collections.abc import Callable
from typing import Final

from topview_pipeline.catalogue.errors import CatalogueError
from topview_pipeline.catalogue.files import CatalogueFile
from topview_pipeline.catalogue.source import CatalogueSource
from topview_pipeline.settings import PYTHON_SOURCE, project_root

Source = CatalogueFile | CatalogueSource
"""What a catalogue is read from."""

_MEND: Final = "Write python:package.module:attribute, importable from the folder of workspace.yaml"


def open_source(setting: str) -> Source:
    """The source that `setting` names.

    Args:
        setting: path, http(s) or fsspec URL of a CSV or JSON Lines file; or
            `python:module:attribute`, which names a CatalogueSource, or what makes one when it is
            called without arguments.

    Raises:
        CatalogueError: the import path leads to none.
    """
    if not setting.startswith(PYTHON_SOURCE):
        return CatalogueFile(setting)
    module, _, attribute = setting.removeprefix(PYTHON_SOURCE).partition(":")
    if not module or not attribute:
        raise CatalogueError("no import path", setting, f"{_MEND}.")
    try:
        found = _imported(module, attribute)
        made = (
            found() if isinstance(found, type) or not isinstance(found, CatalogueSource) else found
        )
    except Exception as error:
        # The user's own code: no common class.
        what = f"it cannot be opened ({type(error).__name__}: {error})"
        raise CatalogueError(what, setting, f"{_MEND}, and what it needs.") from error
    if not isinstance(made, CatalogueSource):
        what = f"{type(made).__name__} is no catalogue source"
        raise CatalogueError(what, setting, "Give it `where`, `version()` and `rows()`.")
    return made


def _imported(module: str, attribute: str) -> Callable[[], object] | CatalogueSource:
    root = str(project_root())
    if root not in sys.path:
        # Dagster's servers begin with it there; a console script does not.
        sys.path.append(root)
    found: Callable[[], object] | CatalogueSource = getattr(
        importlib.import_module(module), attribute
    )
    return found
