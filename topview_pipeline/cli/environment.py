"""The surroundings of a command: the configured pipeline, its catalogue, Dagster's instance."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import click
from dagster import DagsterInstance, Definitions

from topview_pipeline.cli.console import WORDS, CannotStart, given, is_demo, say, sign
from topview_pipeline.defs.dagster_private import (
    definitions_in,
    locations_in,
    open_without_compute_logs,
)
from topview_pipeline.defs.instance import DAGSTER_YAML, advice
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.setting_types import project_root
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stop import stop
from topview_pipeline.store import whole
from topview_pipeline.text import counted, one_line, without_queries

if TYPE_CHECKING:
    from rich.console import Console

    from topview_pipeline.catalogue import Catalogue
    from topview_pipeline.catalogue.rows import RowProblem
    from topview_pipeline.topview.client import TopviewClient

T = TypeVar("T")
OPENING: Final = "Opening the ledger and Dagster's history"
READING_FILES: Final = "Reading the products' photos and other files"
_OURS: Final = "topview_pipeline.definitions"
_SHOWN_PROBLEMS: Final = 20
MOST_REASON: Final = 200
"""Characters of an error of Dagster's, which may hold the whole schema of a file."""


@dataclass(frozen=True)
class CodeLocation:
    """The definitions that a command works on, and the one pipeline of them.

    Attributes:
        module: that has the definitions.
        name: of the code location, as `dagster dev` names it; None: the folder lists no such, as
            where a server has it.
    """

    module: str
    name: str | None
    defs: Definitions
    topview: TopviewResource


def code_location() -> CodeLocation:
    """The code location of `--defs`, else of the project folder, else of the environment."""
    from topview_pipeline.defs.pipeline import check_apart  # with all definitions

    locations = _locations()
    module = _module(locations)
    defs, pipelines = _loaded(module)
    if not pipelines and not given("defs"):
        module = _OURS  # it is somebody's project that has none of ours
        defs, pipelines = _loaded(module)
    check_apart(one.claim for one in pipelines)
    topview = _keep_words(_chosen(pipelines, module))
    return CodeLocation(module, locations.get(module), defs, topview)


def pipeline() -> TopviewResource:
    """The pipeline that a command works on. Raises PipelineError when there is none."""
    sign.now("Opening the ledger")
    if given("pipeline") or _module(_locations()) != _OURS:
        return code_location().topview
    # Without Dagster's definitions, which take as long to load as all else.
    return _keep_words(TopviewResource(PipelineConfig.from_environment()))


def _locations() -> dict[str, str]:
    """The code locations of the project folder, by module; the demo has its own."""
    if is_demo():
        return {_OURS: "topview_pipeline"}
    try:
        return locations_in(project_root())
    except Exception as error:  # there is no common class of Dagster's and the parsers' errors
        what = f"its code locations cannot be read ({one_line(str(error))[:MOST_REASON]})"
        fix = "Correct its workspace.yaml or pyproject.toml: `dagster dev` reads them too."
        raise CannotStart(what, str(project_root()), fix) from error


def _module(locations: Mapping[str, str]) -> str:
    """The module of `--defs`, else ours, if the folder has it or none, else its only one."""
    if given("defs") or not locations or _OURS in locations:
        return given("defs") or _OURS
    first, *others = locations
    if others:  # the environment's pipeline is not meant
        what = f"it has the code locations {', '.join(locations)}"
        raise CannotStart(what, str(project_root()), f"Name one: --defs {first}")
    return first


def _loaded(module: str) -> tuple[Definitions, list[TopviewResource]]:
    """The definitions of a module, and the pipelines in them."""
    try:
        defs = definitions_in(module)
    except Exception as error:
        # The module is a person's own: anything may come.
        reason = f"{type(error).__name__}: {one_line(without_queries(str(error)))[:MOST_REASON]}"
        fix = "Name the module that `dagster dev -m` or `dg dev` loads, from where it can be found."
        raise CannotStart(f"its definitions cannot be loaded ({reason})", module, fix) from error
    resources = (defs.resources or {}).values()
    return defs, [one for one in resources if isinstance(one, TopviewResource)]


def _chosen(found: Sequence[TopviewResource], where: str) -> TopviewResource:
    """The pipeline of `--pipeline`, else the only one."""
    name, named = given("pipeline"), {one.outline.name: one for one in found}
    names = ", ".join(named)
    if not found:
        fix = "Make one with topview_pipeline.build_definitions, or as a component."
        raise CannotStart("there is no pipeline", where, fix)
    first = found[0].outline.name
    if name is None and len(found) > 1 and where != _OURS:
        what = f"it has the pipelines {names}"
        raise CannotStart(what, where, f"Name one: --pipeline {first}")
    # Of ours the first is the environment's, beside what `dg` scaffolded.
    if (chosen := named.get(name or first)) is None:
        fix = f"There {'is' if len(found) == 1 else 'are'} {names}."
        raise CannotStart(f"there is no pipeline {name!r}", where, fix)
    return chosen


def _keep_words(topview: TopviewResource) -> TopviewResource:
    """Let this command's messages name settings and commands as this pipeline has them."""
    words = partial(topview.outline.worded, defs=given("defs"))
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[WORDS] = words
    stop.worded = words
    return topview


def loggers(level: str = "CRITICAL") -> dict[str, object]:
    """Loggers of a run that a command executes: its events are in Dagster anyway."""
    return {"console": {"config": {"log_level": level}}}


def call_topview(topview: TopviewResource, call: Callable[[TopviewClient], Awaitable[T]]) -> T:
    """The result of a call with an open client. A sandbox that does not answer is named."""
    from topview_pipeline.topview.errors import Unavailable

    url = topview.config.base_url
    sign.now(f"Asking {url}")

    async def with_client() -> T:
        async with topview.client() as client:
            return await call(client)

    try:
        return asyncio.run(with_client())
    except Unavailable as error:
        if urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
            raise
        fix = "Start the sandbox in another terminal: topview-pipeline sandbox --speed 10"
        raise CannotStart("no Topview answers on this machine", url, fix) from error


def usable_catalogue(
    topview: TopviewResource, products: Sequence[str], *, run_id: str | None = None
) -> Catalogue:
    """The catalogue, when it has the products that are asked for, and any usable row at all."""
    sign.now(f"Reading the catalogue {without_queries(topview.config.catalogue or '')}")
    catalogue = topview.catalogue(run_id=run_id)
    unknown = [name for name in products if name not in catalogue.product_ids]
    if unknown:
        known = ", ".join(list(catalogue.products)[:10])
        raise CannotStart(
            f"the catalogue {catalogue.source} has no product {', '.join(map(repr, unknown))}; "
            f"it has {len(catalogue.products)}, such as {known}"
        )
    if not catalogue.products:
        # A misspelt column spoils every row: the warnings come first.
        lines = (*catalogue.warnings, *catalogue.problems[:_SHOWN_PROBLEMS])
        reasons = "\n".join(f"  {line}" for line in lines)
        raise CannotStart(f"the catalogue {catalogue.source} has no usable row:\n{reasons}")
    return catalogue


def say_problems(
    console: Console, catalogue: Catalogue, products: Sequence[str]
) -> list[RowProblem]:
    """Name the bad rows of these products (none: of all), and return their problems."""
    problems = [
        problem
        for problem in catalogue.problems
        if not products or problem.product_id is None or problem.product_id in products
    ]
    for warning in catalogue.warnings:
        say(f"catalogue: {warning}", console)
    for problem in problems[:_SHOWN_PROBLEMS]:
        say(f"catalogue {problem}", console, style="yellow")
    if len(problems) > _SHOWN_PROBLEMS:
        more = counted(len(problems) - _SHOWN_PROBLEMS, "more bad row")
        say(f"... and {more}", console, style="yellow")
    return problems


def prepare_home() -> None:
    """Make sure that DAGSTER_HOME is set and is there; one of our own gets our dagster.yaml."""
    named = os.environ.get("DAGSTER_HOME", "").strip()
    home = Path(named) if named else project_root() / ".dagster_home"
    if not home.is_absolute():
        # Not taken as it is meant: plain `dagster dev` would refuse it.
        meant = Path(os.path.expanduser(named)).absolute()
        fix = f'Set it like this: export DAGSTER_HOME="{meant}"'
        raise CannotStart(f"DAGSTER_HOME is {named!r}; Dagster needs an absolute path", fix=fix)
    make_dagster_home(home, with_yaml=not named)
    if not named:
        os.environ["DAGSTER_HOME"] = str(home)
        click.echo(f"DAGSTER_HOME is not set; using {home}", err=True)


def make_dagster_home(home: Path, *, with_yaml: bool = True) -> bool:
    """Make the folder and our dagster.yaml in it; True if that is new: it is never replaced."""
    fix = "Set it to a folder of yours."
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not with_yaml or os.path.lexists(home / "dagster.yaml"):
            return False
        with whole(home / "dagster.yaml") as part:
            part.write_text(DAGSTER_YAML, encoding="utf-8")
    except FileExistsError:
        raise CannotStart(f"DAGSTER_HOME {home} is a file", fix=fix) from None
    except OSError as error:
        what = f"DAGSTER_HOME {home} cannot be written ({error.strerror})"
        raise CannotStart(what, fix=fix) from error
    return True


def open_instance(*, advise: bool = True) -> DagsterInstance:
    """Dagster's instance, with its history; what its dagster.yaml lacks is said, or not."""
    prepare_home()
    sign.now(OPENING)
    try:
        instance = open_without_compute_logs(os.environ["DAGSTER_HOME"])
    except Exception as error:
        # Dagster raises what its configured storages raise: no common class.
        what = f"Dagster cannot use it: {one_line(str(error))[:MOST_REASON]}"
        where = f"DAGSTER_HOME {os.environ['DAGSTER_HOME']}"
        raise CannotStart(what, where, "Correct its dagster.yaml.") from error
    if advise and (lacks := advice(instance)):
        click.echo(lacks, err=True)
    return instance
