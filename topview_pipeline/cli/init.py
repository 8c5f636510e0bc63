"""`topview-pipeline init`: a project folder with a catalogue to edit, which runs as it is."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

import click

from topview_pipeline.cli import demo
from topview_pipeline.cli.console import CannotStart, say

CATALOGUE: Final = """\
product_id,image,template_image,location,script,voice_id,caption_id,mode
aqua-bottle,photos/aqua-bottle.jpg,templates/kitchen.jpg,\
"[[0.4234, 0.5188], [0.5766, 0.5188], [0.5766, 0.8313], [0.4234, 0.8313]]",\
"This is Aqua. Ice cold all day.",\
zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t,3cfcb29df99746d4b438e169dda47647,lite
gift-box,photos/gift-box.jpg,templates/living-room.jpg,,\
"Already wrapped. Just sign the card.",\
zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t,3cfcb29df99746d4b438e169dda47647,lite
ceramic-mug,photos/ceramic-mug.jpg,templates/kitchen.jpg,,\
"Hand glazed, and made to hold a very generous coffee. No two of these mugs are the same.",\
zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t,3cfcb29df99746d4b438e169dda47647,avatar2
"""
_README: Final = """\
# My product videos

`catalogue.csv` has one row for each product. Edit the rows, put your photos into `photos/`, and run
again: only what changed is remade.

| column | meaning |
| --- | --- |
| `product_id` | a name of yours, unique in the file |
| `image` | the product photo: a path, seen from the catalogue's folder, or a URL |
| `template_image` | the person and place that the product is put into; or `avatar_id` |
| `location` | where on it: four points, and two scenes to choose from; empty: Topview decides |
| `script` | what the person says; it must fit the mode's length |
| `voice_id`, `caption_id` | ids from `topview-pipeline voices` and `topview-pipeline captions` |
| `mode` | `lite` (5 s), `pro` (10 s), or as long as the script: `avatar2` (up to 28 s), `avatar4` \
and `avatar4Fast` (up to 120 s); a second costs 0.4, 0.1 and 0.06 credits |

`.env` has the settings: at first the sandbox's, a local Topview that costs nothing. Everything that
is made lies in `.topview/`, which also knows what was paid: keep it.

    topview-pipeline sandbox --speed 10    # in a second terminal, in this folder
    topview-pipeline check                 # is everything ready?
    topview-pipeline plan                  # what would be made, and for how much
    topview-pipeline run
    topview-pipeline export videos
    dagster dev                            # the same with schedules, lineage and history
"""
WORKSPACE: Final = """\
# Read by Dagster, and the mark of this project folder.
load_from:
  - python_module:
      module_name: topview_pipeline.definitions
      location_name: topview_pipeline
      working_directory: .
"""
_ENV: Final = """\
# Settings of topview-pipeline and of Dagster in this folder; they override the environment.
TOPVIEW_CATALOGUE=catalogue.csv
DAGSTER_HOME={dagster_home}
# Ledger and store: what was paid for. In a container name a folder on a volume.
TOPVIEW_HOME=.topview

# The sandbox, a local Topview that costs nothing: topview-pipeline sandbox --speed 10
TOPVIEW_BASE_URL=http://127.0.0.1:{port}
TOPVIEW_UID={uid}
TOPVIEW_API_KEY={api_key}

# Topview itself: remove the three lines above, and write here what Topview's API page says.
#TOPVIEW_UID=
#TOPVIEW_API_KEY=

# Task slots of your plan (Pro 4, Business 8, Ultra 12), and the most credits a UTC day.
TOPVIEW_SLOTS=4
#TOPVIEW_CREDIT_LIMIT=50
"""
_PHOTOS: Final = ("aqua-bottle.jpg", "gift-box.jpg", "ceramic-mug.jpg")
_TEMPLATES: Final = ("kitchen.jpg", "living-room.jpg")
_PORT: Final = 8765


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def init(folder: Path) -> None:
    """Make FOLDER (default: this one) a project: a catalogue to edit, photos, and settings.

    It works on the sandbox at once. A file that is there already is left as it is.
    """
    try:
        written = _write(folder.absolute())
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            why = "is not a folder"
        what = f"{error.filename or folder} {why}"
        raise CannotStart(what, fix="Name another folder.") from error
    new = [name for name, is_new in written.items() if is_new]
    say(f"{folder.absolute()} is a project folder. New in it: {', '.join(new) or 'nothing'}.")
    if kept := [name for name, is_new in written.items() if not is_new]:
        say(f"Left as it was: {', '.join(kept)}.")
    enter = "" if folder.absolute() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    say(
        "\nNext, without an account and for nothing:\n"
        f"  {enter}topview-pipeline sandbox --speed 10   # in a second terminal; leave it running\n"
        f"  {enter}topview-pipeline plan                 # what would be made\n"
        "  topview-pipeline run                  # make it\n"
        "  topview-pipeline export videos        # the videos as files\n"
        "Then edit catalogue.csv and run again. README.md there explains the columns."
    )


def _write(folder: Path) -> dict[str, bool]:
    """Write what is missing; by name, True where a file was written."""
    from topview_pipeline.cli.environment import make_dagster_home
    from topview_pipeline.sandbox.config import SandboxConfig
    from topview_pipeline.store import whole

    account = SandboxConfig()
    home = folder / ".dagster_home"
    texts = {
        "catalogue.csv": CATALOGUE,
        ".env": _ENV.format(
            # Dagster takes an absolute path alone; quotes keep blanks and # in it.
            dagster_home=f"'{home}'" if "'" not in str(home) else f'"{home}"',
            port=demo.free_port(_PORT),
            uid=account.uid,
            api_key=account.api_key,
        ),
        "workspace.yaml": WORKSPACE,
        ".gitignore": ".env\n.topview/\n.dagster_home/\n.sandbox/\n",
        "README.md": _README,
    }
    sample = demo.sample_catalogue().parent
    pictures = {f"photos/{name}": sample / "images" / name for name in _PHOTOS}
    pictures |= {f"templates/{name}": sample / "templates" / name for name in _TEMPLATES}
    written = {}
    for name in (*texts, *pictures):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written[name] = not os.path.lexists(path)
        if written[name]:
            data = texts[name].encode() if name in texts else pictures[name].read_bytes()
            with whole(path) as part:
                part.write_bytes(data)
    written[f"{home.name}/dagster.yaml"] = make_dagster_home(home)
    return written
