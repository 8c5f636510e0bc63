"""The command line: `topview-pipeline`. Each command is a thin module beside this one.

Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import click

from topview_pipeline.cli.choose import choose
from topview_pipeline.cli.demo import demo
from topview_pipeline.cli.gallery import gallery
from topview_pipeline.cli.plan import plan
from topview_pipeline.cli.run import run
from topview_pipeline.cli.sandbox import sandbox
from topview_pipeline.cli.tasks import tasks
from topview_pipeline.cli.ui import ui


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="topview-pipeline")
@click.option("--demo", is_flag=True, help="Work on what `make demo` made, by no setting of yours.")
@click.pass_context
def main(context: click.Context, demo: bool) -> None:
    """A product catalogue becomes product videos, from Dagster, with Topview.ai.

    Settings are environment variables (see the README). A .env beside workspace.yaml is read too,
    and what it sets goes over the environment, as with Dagster.
    """
    if demo:
        from topview_pipeline.cli.demohome import DemoHome

        home = DemoHome.here()
        home.enter_again()
        if context.invoked_subcommand == "run":
            context.with_resource(home.sandbox(may_answer=True))
        return
    from dotenv import load_dotenv

    from topview_pipeline.settings import project_root

    load_dotenv(project_root() / ".env", override=True)


main.add_command(choose)
main.add_command(demo)
main.add_command(gallery)
main.add_command(plan)
main.add_command(run)
main.add_command(sandbox)
main.add_command(tasks)
main.add_command(ui)
