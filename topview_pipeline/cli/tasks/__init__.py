"""`topview-pipeline tasks`: the rows of paid work, for people who look and decide.

One command a module. What they share is in `opening.py` and `wording.py`.
"""

from __future__ import annotations

import click

from topview_pipeline.cli.tasks.adopt import adopt
from topview_pipeline.cli.tasks.listing import list_rows
from topview_pipeline.cli.tasks.rebuild import rebuild
from topview_pipeline.cli.tasks.reconcile import reconcile
from topview_pipeline.cli.tasks.release import release
from topview_pipeline.cli.tasks.resume import resume
from topview_pipeline.cli.tasks.show import show


@click.group()
def tasks() -> None:
    """Look at the tasks that were submitted and paid, and settle what only a person can.

    A task whose submit's answer was lost is unknown: it may be paid, and is not sent again.
    `reconcile` looks for it in Topview's credit log; `show` shows what it may be; `adopt` and
    `release` decide.
    """


tasks.add_command(adopt)
tasks.add_command(list_rows)
tasks.add_command(rebuild)
tasks.add_command(reconcile)
tasks.add_command(release)
tasks.add_command(resume)
tasks.add_command(show)
