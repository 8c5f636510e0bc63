"""The catalogue: which products there are, and what shapes each of them.

source.py is the interface of a source, files.py and tables.py the files that come with the
package, opening.py finds the source that a setting names, naming.py says what it is called, read.py
is what a caller uses, waiting.py limits how long it takes, rules.py says what a row must be,
product.py is what comes out.
"""

from topview_pipeline.catalogue.errors import CatalogueError, CatalogueHeld, CatalogueOvertaken
from topview_pipeline.catalogue.files import CatalogueFile
from topview_pipeline.catalogue.naming import name_of, name_of_location
from topview_pipeline.catalogue.opening import Source, open_source
from topview_pipeline.catalogue.product import Location, Product, RowProblem
from topview_pipeline.catalogue.read import (
    Catalogue,
    parse_catalogue,
    read_catalogue,
    version_of,
)
from topview_pipeline.catalogue.source import CatalogueSource
from topview_pipeline.catalogue.waiting import within

__all__ = [
    "Catalogue",
    "CatalogueError",
    "CatalogueFile",
    "CatalogueHeld",
    "CatalogueOvertaken",
    "CatalogueSource",
    "Location",
    "Product",
    "RowProblem",
    "Source",
    "name_of",
    "name_of_location",
    "open_source",
    "parse_catalogue",
    "read_catalogue",
    "version_of",
    "within",
]
