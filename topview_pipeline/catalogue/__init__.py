"""The catalogue: which products there are, and everything that each is made from."""

from topview_pipeline.catalogue.catalogue import (
    Catalogue,
    CatalogueSource,
    ChangeNotAccepted,
    check_gone,
    check_made_again,
    imported,
    open_source,
    parse_catalogue,
    read_catalogue,
    version_of,
)
from topview_pipeline.catalogue.files import FileHashes, InputFile, InputFiles, audio_seconds
from topview_pipeline.catalogue.product import Product
from topview_pipeline.catalogue.references import InputError
from topview_pipeline.catalogue.rows import CatalogueError, RowProblem
from topview_pipeline.catalogue.threads import within

__all__ = [
    "Catalogue",
    "CatalogueError",
    "CatalogueSource",
    "ChangeNotAccepted",
    "FileHashes",
    "InputError",
    "InputFile",
    "InputFiles",
    "Product",
    "RowProblem",
    "audio_seconds",
    "check_gone",
    "check_made_again",
    "imported",
    "open_source",
    "parse_catalogue",
    "read_catalogue",
    "version_of",
    "within",
]
