"""The nightly catch-up. Off until it is switched on, and it wants a limit: it spends credits.

It may come every few minutes, too. Then a tick starts the next run before the last one ends, so
that the slots stay full; all runs of a day have one limit, and try once more what failed too often.
"""

from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.outline import OCCASION_TAG
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.sensors import running_jobs, skipped
from topview_pipeline.errors import PipelineError

_AT_ONCE: Final = 2
"""While one run ends, the other has products for all slots; a third would have none."""
_SCHEDULE_TAG: Final = "dagster/schedule_name"
"""Dagster's own, of the runs that a schedule started."""


def nightly_catch_up(topview: TopviewResource) -> dg.ScheduleDefinition:
    outline = topview.outline

    @dg.schedule(
        name=outline.of("nightly_catch_up"),
        job_name=outline.of(CATCH_UP),
        cron_schedule=outline.nightly_cron,
        execution_timezone=outline.nightly_timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=outline.worded(
            "Brings the whole catalogue up to date for at most TOPVIEW_NIGHTLY_CREDIT_LIMIT "
            "credits; what exists costs nothing. TOPVIEW_CREDIT_LIMIT, for the day, counts in any "
            "case. Without a limit it is skipped."
        ),
    )
    def start(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            config = topview.config
        except PipelineError as error:
            return skipped(topview, error)
        if config.nightly_credit_limit is None and config.credit_limit is None:
            why = (
                "Set TOPVIEW_NIGHTLY_CREDIT_LIMIT (for a night) or TOPVIEW_CREDIT_LIMIT (for a "
                "day): no credit limit is set."
            )
            return dg.SkipReason(outline.worded(why))
        name = outline.of("nightly_catch_up")
        of_schedule = {_SCHEDULE_TAG: name}
        living = running_jobs(context.instance, outline, CATCH_UP, most=_AT_ONCE, **of_schedule)
        if len(living) == _AT_ONCE:
            return dg.SkipReason(
                f"runs {' and '.join(living)} of this schedule are queued or at work"
            )
        day = context.scheduled_execution_time.astimezone(ZoneInfo(outline.nightly_timezone))
        return dg.RunRequest(
            run_config=catch_up_config(credit_limit=config.nightly_credit_limit),
            tags={OCCASION_TAG: f"{day:%Y%m%d}-{name}"},
        )

    return start
