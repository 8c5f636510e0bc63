"""The plan: what a run would make, why, and for how much. Spends nothing."""

from topview_pipeline.plan.catalogue_plan import (
    PATIENCE_SECONDS,
    collector_at_rest,
    first_products,
    plan_catalogue,
)
from topview_pipeline.plan.forecast import Forecast, StageForecast, forecast_plan
from topview_pipeline.plan.plan import ASKED_AGAIN, PlannedStage

__all__ = [
    "ASKED_AGAIN",
    "PATIENCE_SECONDS",
    "Forecast",
    "PlannedStage",
    "StageForecast",
    "collector_at_rest",
    "first_products",
    "forecast_plan",
    "plan_catalogue",
]
