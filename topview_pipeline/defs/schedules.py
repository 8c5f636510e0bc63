"""The nightly catch-up. Off until somebody switches it on: it spends credits."""

import dagster as dg

from topview_pipeline.defs.jobs import catch_up

nightly_catch_up = dg.ScheduleDefinition(
    name="nightly_catch_up",
    job=catch_up,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night at 02:00 UTC the whole catalogue is brought up to date; what exists "
    "costs nothing.",
)
