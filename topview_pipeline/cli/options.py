"""Options that several commands have, and the completion of ids in a shell.

Completion is quick, asks no server, and never fails: the error would stand between two keystrokes.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from topview_pipeline.settings import GATES, PipelineConfig

F = TypeVar("F", bound=Callable[..., Any])
_MOST_OFFERED: Final = 200

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document."
)
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask.")
why_option: Final = click.option(
    "--why", default="", metavar="TEXT", help="A reason, kept in the ledger."
)
gate_option: Final = click.option(
    "--gate",
    type=click.Choice(GATES),
    help="List what a run with this --gate holds. Default: by TOPVIEW_GATE and the rows.",
)


def complete_product(context: click.Context, _parameter: Any, incomplete: str) -> list[str]:
    """The ids of a catalogue that is a file on this machine."""
    with contextlib.suppress(Exception):
        return _starting(_product_ids(context), incomplete)
    return []


def complete_stage(_context: click.Context, _parameter: Any, incomplete: str) -> list[str]:
    """The stages' asset keys."""
    from topview_pipeline.stages import BY_KEY

    return _starting(BY_KEY, incomplete)


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:_MOST_OFFERED]


def _product_ids(context: click.Context) -> Iterable[str]:
    from topview_pipeline.catalogue import open_source, read_catalogue
    from topview_pipeline.cli.demo import DemoHome
    from topview_pipeline.cli.main import load_settings
    from topview_pipeline.text import is_url

    if context.find_root().params.get("demo"):
        DemoHome.here().enter_again()
    else:
        load_settings()
    config = PipelineConfig.from_environment()
    location = config.require_catalogue()
    if is_url(location) or location.startswith("python:"):
        return ()
    return read_catalogue(open_source(location), config.defaults).products


def ids_in(context: click.Context, _: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The ids that are named, and those in the lines of an @file or, for `-`, of standard input."""
    found: list[str] = []
    for name in given if not context.resilient_parsing else ():  # completion reads nothing
        if name != "-" and not name.startswith("@"):
            found.append(name)
            continue
        try:
            with click.open_file(name.removeprefix("@"), encoding="utf-8-sig") as file:
                text = file.read()
        except (OSError, UnicodeError) as error:
            raise click.BadParameter(f"{name}: {getattr(error, 'strerror', error)}") from error
        ids = [line.strip() for line in text.splitlines() if line.strip()]
        if not ids:
            raise click.BadParameter(f"{name} names no product; write an id in each line.")
        found += ids
    return tuple(dict.fromkeys(found))


def ids_option(*names: str, text: str, metavar: str = "ID") -> Callable[[F], F]:
    """An option that takes product ids; `text` begins its help."""
    return click.option(
        *names,
        multiple=True,
        metavar=metavar,
        shell_complete=complete_product,
        callback=ids_in,
        help=f"{text} @FILE: those in its lines; -: those of standard input. Repeatable.",
    )


products_option: Final = ids_option("--product", "products", text="Only this product.")


class Credits(click.FloatRange):
    """An amount of credits: `nan` and `inf` are not limits."""

    def __init__(self) -> None:
        super().__init__(min=0.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        amount = super().convert(value, param, ctx)
        if not math.isfinite(amount):
            self.fail(f"{value!r} is not an amount of credits; give a number from 0.", param, ctx)
        return amount


def web_address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """The address of a web server, as an option's callback: without a slash at its end."""
    if url is None:
        return None
    try:
        is_url = re.fullmatch(r"https?://[^/?#\s@]+(/[^?#\s]*)?", url) and urlsplit(url).port != 0
    except ValueError:  # of a port that is no number, or too large
        is_url = False
    if not is_url:
        raise click.BadParameter(f"{url!r} is no URL; write http://HOST:PORT.")
    return url.rstrip("/")
