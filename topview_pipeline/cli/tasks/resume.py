"""`topview-pipeline tasks resume`: a person says that a refused account works again."""

from __future__ import annotations

import click

from topview_pipeline.cli.tasks.opening import ask, opened, person, say


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def resume(yes: bool) -> None:
    """End the pause of an account that Topview refused, without waiting for the next probe.

    It ends by itself, too, when a probe finds the account good. Should Topview refuse the account
    again, the next submit pauses it again: nothing is created, nothing is paid.

    Exit codes: 0 nothing is paused any more, 2 nothing was done.
    """
    with opened() as here:
        pause = here.ledger.accounts.pause()
        if pause is None:
            say("Nothing is paused.")
            return
        say(f"Submits are paused: {pause.message}")
        ask("The next run or the pending_task_sensor submits again.", yes=yes)
        here.ledger.accounts.end_pause(who=person())
    say("The pause is over.")
