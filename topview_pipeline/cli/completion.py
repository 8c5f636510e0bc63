"""Shell completion of product ids and stages. It is quick, asks no server, and never fails: a shell
would print the error between two keystrokes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import click

_MOST: int = 200


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:_MOST]


def complete_product(context: click.Context, _parameter: Any, incomplete: str) -> list[str]:
    """The ids of a catalogue that is a file on this machine."""
    with contextlib.suppress(Exception):
        return _starting(_product_ids(context), incomplete)
    return []


def _product_ids(context: click.Context) -> Iterable[str]:
    from topview_pipeline.catalogue import open_source, read_catalogue
    from topview_pipeline.cli.demo import DemoHome
    from topview_pipeline.cli.main import load_settings
    from topview_pipeline.settings import PipelineConfig
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


def complete_stage(_context: click.Context, _parameter: Any, incomplete: str) -> list[str]:
    """The stages' asset keys."""
    from topview_pipeline.stages import STAGES

    return _starting((stage.key for stage in STAGES), incomplete)
