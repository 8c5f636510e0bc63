"""What there is to do: for each product and stage, whether it is up to date, and why not.

Pure: it looks at what it is given, asks nobody and spends nothing. It predicts what the producer
will decide; the producer decides again with fresh rows.
"""

from topview_pipeline.planning.known import Known
from topview_pipeline.planning.orders import PlannedOrder, first_products
from topview_pipeline.planning.planner import plan

__all__ = ["Known", "PlannedOrder", "first_products", "plan"]
