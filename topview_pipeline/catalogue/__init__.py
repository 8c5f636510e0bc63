"""The catalogue: which products there are, and what shapes each of them.

product.py is what comes out, read.py what a caller uses, tables.py the file formats, rules.py what
a row must be.
"""

from topview_pipeline.catalogue.product import Location, Product, RowProblem
from topview_pipeline.catalogue.read import (
    Catalogue,
    CatalogueError,
    parse_catalogue,
    read_catalogue,
)

__all__ = [
    "Catalogue",
    "CatalogueError",
    "Location",
    "Product",
    "RowProblem",
    "parse_catalogue",
    "read_catalogue",
]
