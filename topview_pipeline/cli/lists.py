"""`topview-pipeline voices`, `captions`, `avatars`: the ids that a catalogue names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console

from topview_pipeline.cli.console import say, say_json, say_rows
from topview_pipeline.cli.environment import call_topview, pipeline

if TYPE_CHECKING:
    from topview_pipeline.topview.client import TopviewClient

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_gender = click.option("--gender", help="Only this gender.")


@click.command()
@click.option("--language", help="Only this language, or a part of its name.")
@_gender
@click.option("--name", help="Only names with this text.")
@click.option("--custom", is_flag=True, help="The voices that the account had cloned.")
@_as_json
def voices(
    language: str | None, gender: str | None, name: str | None, custom: bool, as_json: bool
) -> None:
    """List voices, for the column voice_id. It spends nothing."""

    async def read(client: TopviewClient) -> list[dict[str, str]]:
        return [
            {
                "voice_id": one.voice_id,
                "name": one.voice_name or "",
                "language": one.language or "",
                "gender": one.gender or "",
                "age": one.age or "",
                "style": one.style or "",
                "accent": one.accent or "",
            }
            for one in await client.voices(custom=custom)
        ]

    _list("voice", read, {"language": language, "gender": gender, "name": name}, as_json)


@click.command()
@_as_json
def captions(as_json: bool) -> None:
    """List caption styles, for the column caption_id. It spends nothing."""

    async def read(client: TopviewClient) -> list[dict[str, str]]:
        return [
            {"caption_id": one.caption_id, "picture": one.thumbnail or ""}
            for one in await client.captions()
        ]

    _list("caption style", read, {}, as_json)


@click.command()
@_gender
@click.option("--category", help="Only this category, or a part of its name.")
@click.option("--ethnicity", help="Only this ethnicity, or a part of its name.")
@_as_json
def avatars(gender: str | None, category: str | None, ethnicity: str | None, as_json: bool) -> None:
    """List Topview's public avatars, for the column avatar_id. It spends nothing."""

    async def read(client: TopviewClient) -> list[dict[str, str]]:
        return [
            {
                "avatar_id": one.avatar_id,
                "gender": one.gender or "",
                "category": ", ".join(one.categories),
                "ethnicity": ", ".join(one.ethnicities),
                "voice_id": one.voice_id or "",
                "picture": one.picture or "",
            }
            for one in await client.avatars()
        ]

    wanted = {"gender": gender, "category": category, "ethnicity": ethnicity}
    _list("avatar", read, wanted, as_json)


def _list(
    noun: str,
    read: Callable[[TopviewClient], Awaitable[Sequence[Mapping[str, str]]]],
    wanted: Mapping[str, str | None],
    as_json: bool,
) -> None:
    """Print the entries that have what is wanted: gender as a whole word, else as a part."""
    filters = {key: text.strip().lower() for key, text in wanted.items() if text}
    everything = call_topview(pipeline(), read)
    found = [
        one
        for one in everything
        if all(
            one[key].lower() == text if key == "gender" else text in one[key].lower()
            for key, text in filters.items()
        )
    ]
    if as_json:
        say_json(found)
    elif found:
        console, columns = Console(), [key for key in found[0] if key != "picture"]
        say_rows(console, columns, [[one[key] for key in columns] for one in found])
        if console.is_terminal and "picture" in found[0]:
            say("Links to their pictures: --json", console)
    else:
        has = {key: sorted({one[key] for one in everything if one[key]}) for key in filters}
        known = "; ".join(f"{key}: {', '.join(names[:20])}" for key, names in has.items() if names)
        say(f"No {noun} is like that{f'. There is {known}' if known else ''}.")
