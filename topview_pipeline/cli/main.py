"""The group of all commands, whose modules are imported when they are used: `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from topview_pipeline.cli.console import OneSentence, given, sign, worded
from topview_pipeline.errors import PipelineError
from topview_pipeline.stop import INTERRUPTED, stop

_COMMANDS: Final[Mapping[str, str]] = {
    "init": "Make a project folder: a catalogue to edit, and settings.",
    "check": "Check that everything is ready for a run.",
    "run": "Bring the catalogue up to date.",
    "plan": "Show what a run would make, why, and for how much.",
    "tasks": "Show submitted tasks, and settle lost answers.",
    "ledger": "Make the ledger know its store, make its tables, copy it.",
    "review": "Decide which scenes become videos, for many products at once.",
    "choose": "Choose the scene that becomes a product's video.",
    "export": "Copy the finished videos to a folder.",
    "gallery": "Show everything that was made, in the browser.",
    "purge": "Forget products that left the catalogue long ago, and their media.",
    "metrics": "Print credits, slots and tasks in OpenMetrics, or serve them.",
    "voices": "List voices, for the column voice_id.",
    "captions": "List caption styles, for the column caption_id.",
    "avatars": "List public avatars, for the column avatar_id.",
    "demo": "Make the sample catalogue's videos, without an account.",
    "ui": "Open the Dagster UI on the demo's history.",
    "sandbox": "Run a local Topview.",
    "probe": "Find out how Topview really answers.",
}
_END_IN_THEIR_OWN_WAY: Final = frozenset({"gallery", "metrics", "sandbox", "ui"})
"""Servers. All else is ended at once by a signal: nothing that it does is half done then."""
_SPEAK_THEMSELVES: Final = frozenset({"demo", "gallery", "init", "sandbox", "ui"})
"""All else has a sign of life."""
_WITHOUT_PIPELINE: Final = frozenset({"demo", "init", "sandbox", "ui"})
_ASK_TOPVIEW: Final = frozenset({"run", "plan", "check", "probe", "voices", "captions", "avatars"})
"""On the demo they have its local Topview."""

_MODULES: Final = {
    **dict.fromkeys(("voices", "captions", "avatars"), "lists"),
    "choose": "review",
    "ui": "demo",
    "metrics": "ledger",
    "purge": "ledger",
}
"""Of commands that share one."""


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Keep the value for `environment.given`; the one nearest to the command counts."""
    if value is not None:
        context.meta[f"topview.{option.name}"] = value


_PIPELINE: Final = click.Option(
    ["--pipeline"],
    metavar="NAME",
    expose_value=False,
    callback=_keep,
    help="The pipeline to work on, where there are several.",
)


class _Commands(click.Group):
    """Ends a command with one sentence and exit code 2 on everything that a person can fix."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"topview_pipeline.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        if cmd_name not in _WITHOUT_PIPELINE:
            many = command.commands.values() if isinstance(command, click.Group) else (command,)
            for one in many:
                if _PIPELINE not in one.params:
                    one.params.append(_PIPELINE)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Group's own loads every command for its help.
        known = _COMMANDS.items()
        items = [
            CompletionItem(name, help=text) for name, text in known if name.startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with sign.shown():
                return super().invoke(ctx)
        except PipelineError as error:
            raise OneSentence(worded(str(error))) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="topview-pipeline")
@click.option(
    "--defs",
    metavar="MODULE",
    expose_value=False,
    callback=_keep,
    help="The module with the definitions of your own project. Default: the one that "
    "pyproject.toml or workspace.yaml names, else the pipeline of the settings.",
)
@click.option("--demo", is_flag=True, help="Work on what `make demo` made, not on your settings.")
@click.pass_context
def main(context: click.Context, demo: bool) -> None:
    """Turn a product catalogue into product videos, with Dagster and Topview.ai.

    Settings are environment variables; `.env` in the project folder is read too, and overrides the
    environment, as in Dagster. `topview-pipeline init` makes a project folder.

    Exit codes: 0 all done, 1 some failed, 2 nothing could start, 3 some still pending or held,
    130 stopped by Ctrl-C.
    """
    if context.invoked_subcommand in _END_IN_THEIR_OWN_WAY:
        stop.release()
    if context.invoked_subcommand in _SPEAK_THEMSELVES:
        sign.end()
    if (demo or context.invoked_subcommand == "demo") and given("defs"):
        # Else a paid video of that project would be taken for one of the demo.
        raise OneSentence("--defs is your own project, and the demo has one: leave one of them out")
    if demo:
        from topview_pipeline.cli.demo import DemoHome

        home = DemoHome.here()
        home.enter_again()
        if context.invoked_subcommand in _ASK_TOPVIEW:
            context.with_resource(home.sandbox(may_answer=True))
        return
    from topview_pipeline.settings import warn_of_unknown_variables

    load_settings()
    warn_of_unknown_variables()


main.params.append(_PIPELINE)


def load_settings() -> None:
    """Let the .env beside workspace.yaml set the environment."""
    from dotenv import load_dotenv

    from topview_pipeline.setting_types import SettingsError, project_root

    file = project_root() / ".env"
    try:
        load_dotenv(file, override=True)
    except ValueError as error:
        raise SettingsError("not UTF-8 text", str(file), "Save it as UTF-8.") from error
