"""The nightly catch-up. Off until it is switched on, and it wants a limit: it spends credits."""

import dagster as dg

from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.resources import TopviewResource


def nightly_catch_up(topview: TopviewResource) -> dg.ScheduleDefinition:
    """The schedule of the nightly catch-up."""
    outline = topview.outline

    @dg.schedule(
        name=outline.of("nightly_catch_up"),
        job_name=outline.of(CATCH_UP),
        cron_schedule=outline.nightly_cron,
        execution_timezone=outline.nightly_timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Brings the whole catalogue up to date for at most "
        "TOPVIEW_NIGHTLY_CREDIT_LIMIT credits; what exists costs nothing. TOPVIEW_CREDIT_LIMIT, "
        "for the day, counts in any case. With neither it does nothing.",
    )
    def start() -> dg.RunRequest | dg.SkipReason:
        return _request(topview)

    return start


def _request(topview: TopviewResource) -> dg.RunRequest | dg.SkipReason:
    """One catch_up run over the catalogue, or why not."""
    from topview_pipeline.errors import PipelineError

    try:
        config = topview.config
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if config.nightly_credit_limit is None and config.credit_limit is None:
        return dg.SkipReason(
            "no credit limit is set, and a night is not watched: set TOPVIEW_NIGHTLY_CREDIT_LIMIT "
            "to the most that a night may cost, or TOPVIEW_CREDIT_LIMIT for every day"
        )
    return dg.RunRequest(run_config=catch_up_config(credit_limit=config.nightly_credit_limit))
