"""The one partitioning of the project: a partition is a product of the catalogue."""

from typing import Final

import dagster as dg

PRODUCTS: Final = "products"
products = dg.DynamicPartitionsDefinition(name=PRODUCTS)
