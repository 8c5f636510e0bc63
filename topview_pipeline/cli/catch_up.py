"""The job catch_up in this process: its progress, its outcome, its exit code, and its stop."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from dagster import DagsterInstance
from rich.console import Console

from topview_pipeline.cli.console import (
    SOME_FAILED,
    CannotStart,
    person,
    program,
    say,
    say_json,
    sign,
)
from topview_pipeline.cli.environment import (
    MOST_REASON,
    READING_FILES,
    CodeLocation,
    call_topview,
    code_location,
    loggers,
    open_instance,
    say_problems,
    usable_catalogue,
)
from topview_pipeline.cli.progress import (
    Left,
    refused_scenes,
    say_outcome,
    say_refused,
    summary_document,
)
from topview_pipeline.cli.watcher import Watcher
from topview_pipeline.defs.dagster_private import (
    Ended,
    execute_as_launched,
    has_daemon,
    report_stopped,
    report_stopping,
)
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.run import STOPPED, check_ready
from topview_pipeline.engine.scene_judge import open_judge
from topview_pipeline.stages import stages_named
from topview_pipeline.stop import stop
from topview_pipeline.text import one_line

_LOOK_SECONDS: Final = 0.1
_PLANNING_SECONDS: Final = 1.0


def catch_up(
    wanted: Mapping[str, Any] = {},
    *,
    as_json: bool = False,
    quiet: bool = False,
    log_level: str | None = None,
    say_where: bool = True,
) -> int:
    """Execute the job catch_up here, show its progress, and return the exit code.

    Args:
        wanted: fields of the job's config.
        as_json, quiet, log_level: see the options of `run`.
        say_where: say where the files are.

    Raises PipelineError when it could not start; nothing was sent then.
    """
    run_id, products = str(uuid.uuid4()), wanted.get("products", ())
    # The stream as it is now: Dagster points standard output elsewhere while a step runs.
    console = Console(file=sys.stderr if as_json else sys.stdout)
    stages_named(wanted.get("stages", ()))
    location = code_location()
    topview = location.topview
    is_plain = as_json or quiet or log_level is not None
    with Watcher(topview, run_id, console, as_json=as_json, quiet=quiet, plain=is_plain) as watcher:
        catalogue = usable_catalogue(topview, products, run_id=run_id)
        open_judge(topview.config.scene_judge)
        # The engine asks again: a run that Dagster launches has no command before it. Here a wrong
        # key is an error that leaves no run, and the balance is known before the first task.
        account = call_topview(topview, lambda client: client.check_account())
        watcher.progress.credits_left = account.remain_credit
        config = catch_up_config(**wanted)
        config["loggers"] = loggers((log_level or "critical").upper())
        with open_instance() as instance, topview.ledger() as ledger:
            check_ready(instance, ledger, topview, run_id=run_id)
            bad_rows = len({one.line for one in say_problems(console, catalogue, products)})
            watcher.ledger = ledger
            sign.now(READING_FILES)
            with stop.calling(topview.stop, lambda: report_stopped(instance, run_id)):
                ended = _execute(location, instance, config, run_id, watcher)
                watcher.close()
                progress = watcher.progress
                left = None if stop.code is None else Left.of(progress, ledger, run_id)
                if left is None and not progress.was_planned:
                    raise CannotStart("\n".join(ended.failures))
                code = stop.code or progress.exit_code(bad_rows=bad_rows > 0)
                say_outcome(console, progress, quiet=quiet)
                refused = refused_scenes(topview.config, ledger, catalogue)
                if not quiet:
                    say_refused(console, refused)
                for line in left.lines(has_daemon=has_daemon(instance)) if left else ():
                    say(line, console)
                if progress.open or not (ended.success or progress.troubled):
                    code = stop.code or SOME_FAILED
                    # Not the trouble of a product: the run itself broke.
                    for why in ended.failures:
                        if why != STOPPED:
                            say(why, console, style="red")
                elif say_where and not quiet and (progress.made or not progress.wanted):
                    export = f"{program()} export FOLDER writes the videos under readable names"
                    say(f"Files: {topview.store.location} ({export})", console)
                if as_json:
                    document = summary_document(progress, run_id, left)
                    document["refused"] = [asdict(one) for one in refused]
                    say_json(document | {"exit_code": code, "bad_rows": bad_rows})
    return code


def submit(url: str, wanted: Mapping[str, Any], *, as_json: bool) -> None:
    """Put the job catch_up into the queue of the Dagster whose UI is at `url`; say where it is."""
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    stages_named(wanted["stages"])
    location, place = code_location(), urlsplit(url)
    usable_catalogue(location.topview, wanted["products"])
    sign.now(f"Asking the Dagster at {url}")
    client = DagsterGraphQLClient(
        str(place.hostname), place.port, use_https=place.scheme == "https", path_prefix=place.path
    )
    try:
        with stop.calling(lambda: None):  # a run that is queued must be named
            run_id = client.submit_job_execution(
                location.topview.outline.of(CATCH_UP),
                repository_location_name=location.name,
                # Without a name the client takes the one location that has this job.
                repository_name=location.name and "__repository__",
                run_config=catch_up_config(**wanted),
                tags={"user": person()},
            )
    except DagsterGraphQLClientError as error:
        reason = one_line(str(error.__cause__ or error))[:MOST_REASON]
        what = f"Dagster did not take the run, or its answer was lost ({reason})"
        fix = "Is this your Dagster UI? Then look at its runs before you launch again."
        raise CannotStart(what, url, fix) from error
    address = f"{url}/runs/{run_id}"
    if as_json:
        say_json({"event": "launched", "run_id": run_id, "url": address})
    else:
        say(f"Dagster has the run {run_id} in its queue: {address}")


def _execute(
    location: CodeLocation,
    instance: DagsterInstance,
    config: dict[str, object],
    run_id: str,
    watcher: Watcher,
) -> Ended:
    """Execute the run beside the main thread, where Dagster puts in no signal handlers of its own.

    Stopped by a person it sends nothing more and ends by itself, except in its planning, which may
    take long and sends nothing: that is left behind, and ends with the process.
    """
    topview = location.topview
    run = ThreadPoolExecutor(1, "run").submit(
        execute_as_launched,
        location.defs.resolve_job_def(topview.outline.of(CATCH_UP)),
        instance,
        module=location.module,
        location=location.name or location.module,
        run_config=config,
        run_id=run_id,
        user=person(),
    )
    while stop.code is None:
        if wait([run], _LOOK_SECONDS).done:
            return run.result()
    watcher.stopping()
    report_stopping(instance, run_id)
    topview.stop_reported.set()
    while not wait([run], _PLANNING_SECONDS).done:
        if not topview.is_producing:
            report_stopped(instance, run_id)
            return Ended(False, ())
    ended = run.result()
    report_stopped(instance, run_id)  # it may have ended while the stop was reported
    return ended
