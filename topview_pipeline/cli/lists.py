"""`topview-pipeline voices`, `captions`, `avatars`: the ids that a catalogue names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from topview_pipeline.cli.console import say, say_json, say_rows
from topview_pipeline.cli.environment import call_topview, pipeline
from topview_pipeline.cli.options import json_option
from topview_pipeline.topview.client import TopviewClient

_gender = click.option("--gender", help="Only this gender.")


@click.command()
@click.option("--language", help="Only this language, or a part of its name.")
@_gender
@click.option("--name", help="Only names with this text.")
@click.option("--custom", is_flag=True, help="Only the voices that the account had cloned.")
@json_option
def voices(custom: bool, as_json: bool, **wanted: str | None) -> None:
    """List voices, for the column voice_id. It spends nothing."""
    own = ("voice_id", "language", "gender", "age", "style", "accent")
    fields = {"voice_id": "voice_id", "name": "voice_name", **{name: name for name in own}}
    _list("voice", fields, lambda client: client.voices(custom=custom), wanted, as_json)


@click.command()
@json_option
def captions(as_json: bool) -> None:
    """List caption styles, for the column caption_id. It spends nothing."""
    fields = {"caption_id": "caption_id", "picture": "thumbnail"}
    _list("caption style", fields, lambda client: client.captions(), {}, as_json)


@click.command()
@_gender
@click.option("--category", help="Only this category, or a part of its name.")
@click.option("--ethnicity", help="Only this ethnicity, or a part of its name.")
@json_option
def avatars(as_json: bool, **wanted: str | None) -> None:
    """List Topview's public avatars, for the column avatar_id. It spends nothing."""
    fields = {"avatar_id": "avatar_id", "gender": "gender", "category": "categories"}
    fields |= {"ethnicity": "ethnicities", "voice_id": "voice_id", "picture": "picture"}
    _list("avatar", fields, lambda client: client.avatars(), wanted, as_json)


def _list(
    noun: str,
    fields: Mapping[str, str],
    read: Callable[[TopviewClient], Awaitable[Sequence[object]]],
    wanted: Mapping[str, str | None],
    as_json: bool,
) -> None:
    """Print the entries that have what is wanted: gender as a whole word, else as a part."""
    filters = {key: text.strip().lower() for key, text in wanted.items() if text}
    everything = [
        {key: _cell(getattr(one, name)) for key, name in fields.items()}
        for one in call_topview(pipeline(), read)
    ]

    def fits(one: Mapping[str, str]) -> bool:
        cells = ((key, one[key].lower(), text) for key, text in filters.items())
        return all(text == cell if key == "gender" else text in cell for key, cell, text in cells)

    found = list(filter(fits, everything))
    if as_json:
        say_json(found)
    elif found:
        console, columns = Console(), [key for key in fields if key != "picture"]
        say_rows(console, columns, [[one[key] for key in columns] for one in found])
        if console.is_terminal and "picture" in fields:
            say("Links to their pictures: --json", console)
    else:
        has = {key: sorted({one[key] for one in everything if one[key]}) for key in filters}
        known = "; ".join(f"{key}: {', '.join(names[:20])}" for key, names in has.items() if names)
        say(f"No {noun} fits{f'. There is {known}' if known else ''}.")


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else value or ""
