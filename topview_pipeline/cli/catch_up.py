"""The job catch_up in this process: its progress, its outcome, its exit code, and its stop."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from topview_pipeline.cli.console import (
    SOME_FAILED,
    CannotStart,
    Speech,
    person,
    say,
    say_json,
    sign,
    terminal,
)
from topview_pipeline.cli.demo import program
from topview_pipeline.cli.environment import (
    MOST_REASON,
    OPENING,
    READING_FILES,
    CodeLocation,
    call_topview,
    code_location,
    loggers,
    open_instance,
    say_problems,
    usable_catalogue,
)
from topview_pipeline.cli.outcome import (
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
from topview_pipeline.defs.run import STOPPED, pair
from topview_pipeline.engine.scene_judge import open_judge
from topview_pipeline.stages import stages_named
from topview_pipeline.stop import stop
from topview_pipeline.text import one_line

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from rich.console import Console

    from topview_pipeline.cli.progress import Progress

_LOOK_SECONDS: Final = 0.1
_PLANNING_SECONDS: Final = 1.0


def catch_up(
    products: Sequence[str] = (),
    stages: Sequence[str] = (),
    *,
    speech: Speech = Speech(),  # noqa: B008 - it is frozen
    say_where: bool = True,
    force: bool = False,
    **more: object,
) -> int:
    """Execute the job catch_up here, show its progress, and return the exit code.

    Args:
        say_where: say where the files are.
        more: further fields of the job's config.

    Raises:
        PipelineError: it could not start; nothing was sent.
    """
    run_id = str(uuid.uuid4())
    console = terminal(to_stderr=speech.as_json)
    stages_named(stages)
    location = code_location()
    topview = location.topview
    with Watcher(topview, run_id, console, speech) as watcher:
        catalogue = usable_catalogue(topview, products, run_id=run_id)
        open_judge(topview.config.scene_judge)
        watcher.doing = "Asking Topview for the account"
        account = call_topview(topview, lambda client: client.check_account())
        watcher.progress.credits_left = account.remain_credit
        watcher.doing = OPENING
        config = _config(products, stages, force, more)
        config["loggers"] = loggers((speech.log_level or "critical").upper())
        with open_instance() as instance, topview.ledger() as ledger:
            pair(instance, ledger, topview)
            bad_rows = say_problems(console, catalogue, products)
            watcher.follow(ledger)
            watcher.doing = READING_FILES
            with stop.calling(topview.stop, lambda: report_stopped(instance, run_id)):
                ended = _execute(location, instance, config, run_id, watcher)
                watcher.close()
                progress = watcher.progress
                left = None if stop.code is None else Left.of(progress, ledger, run_id)
                if left is None and not progress.was_planned:
                    raise CannotStart("\n".join(ended.failures))
                code = stop.code or progress.exit_code(bad_rows=bad_rows > 0)
                say_outcome(console, progress, quiet=speech.quiet)
                refused = refused_scenes(
                    ledger, catalogue.products.values(), topview.config.when_no_face
                )
                if not speech.quiet:
                    say_refused(console, refused)
                if left is not None:
                    for line in left.lines(has_daemon=has_daemon(instance)):
                        say(line, console)
                if progress.open or not (ended.success or progress.troubled):
                    code = stop.code or SOME_FAILED
                    # Not the trouble of a product: the run itself broke.
                    for why in ended.failures:
                        if why != STOPPED:
                            say(why, console, style="red")
                elif say_where and not speech.quiet:
                    _say_where(console, topview.config.store, progress)
                if speech.as_json:
                    sums = {
                        "exit_code": code,
                        "bad_rows": bad_rows,
                        "refused": [asdict(one) for one in refused],
                    }
                    say_json(summary_document(progress, run_id, left) | sums)
    return code


def submit(
    url: str,
    products: Sequence[str],
    stages: Sequence[str],
    *,
    as_json: bool,
    force: bool,
    **more: object,
) -> None:
    """Put the job catch_up into the queue of the Dagster whose UI is at `url`; print where it is.

    Raises:
        PipelineError: it was not taken; nothing was sent.
    """
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    stages_named(stages)
    location, place = code_location(), urlsplit(url)
    usable_catalogue(location.topview, products)
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
                run_config=_config(products, stages, force, more),
                tags={"user": person()},
            )
    except DagsterGraphQLClientError as error:
        reason = one_line(str(error.__cause__ or error))[:MOST_REASON]
        what = f"Dagster did not take the run ({reason})"
        fix = "Name the address of your Dagster UI: --launch http://HOST:PORT"
        if _may_have_arrived(error):
            what = f"Dagster gave no answer ({reason})"
            fix = "It may have the run: look at its runs before you launch again."
        raise CannotStart(what, url, fix) from error
    address = f"{url}/runs/{run_id}"
    if as_json:
        say_json({"event": "launched", "run_id": run_id, "url": address})
    else:
        say(f"Dagster has the run {run_id} in its queue: {address}")


def _may_have_arrived(error: BaseException | None) -> bool:
    """True for a request that was cut off, or not answered in time, after a connection."""
    import requests
    from urllib3.exceptions import ProtocolError

    while error is not None:
        if isinstance(error, requests.ReadTimeout | requests.exceptions.ChunkedEncodingError):
            return True
        if isinstance(error, requests.ConnectionError):
            return any(isinstance(one, ProtocolError) for one in error.args)
        error = error.__cause__
    return False


def _config(
    products: Sequence[str], stages: Sequence[str], force: bool, more: Mapping[str, object]
) -> dict[str, object]:
    return catch_up_config(
        products=list(products),
        stages=list(stages),
        force=force,
        everything=force and not products,
        **more,
    )


def _say_where(console: Console, store: str, progress: Progress) -> None:
    if progress.made or not progress.wanted:
        export = f"{program()} export FOLDER writes the videos under readable names"
        say(f"Files: {store} ({export})", console)


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
    job = location.defs.resolve_job_def(topview.outline.of(CATCH_UP))
    run = ThreadPoolExecutor(1, "run").submit(
        execute_as_launched,
        job,
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
