"""Reading the catalogue for a run that may go on without it."""

from __future__ import annotations

import logging

from topview_pipeline.catalogue import Catalogue, CatalogueError
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.settings import SettingsError


def read_for_run(
    catalogue: CatalogueResource, log: logging.Logger, *, explicit: bool
) -> Catalogue | None:
    """The catalogue; None when the sensor's run cannot read it: it still brings home what is paid.

    Topview keeps a result seven days, however long the catalogue is out of reach.

    Raises:
        CatalogueError, SettingsError: a person or a schedule asked, and nothing can be ordered.
    """
    try:
        return catalogue.read()
    except (CatalogueError, SettingsError) as error:
        if explicit:
            raise
        log.warning(f"Nothing is ordered, what was submitted is brought home: {error}")
        return None
