"""`topview-pipeline`, or `python -m topview_pipeline`: Ctrl-C is accepted before all else loads."""

from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found]

# Python's own handler prints a traceback, and loading the module `signal` takes long enough for it.
# Until `stop` has loaded, the system ends the process.
signal(SIGINT, SIG_DFL)

import os  # noqa: E402

from topview_pipeline.stop import stop  # noqa: E402


def main() -> None:
    """Run the command line."""
    stop.accept()
    from topview_pipeline.cli import main as commands
    from topview_pipeline.cli.console import keep_output_going

    keep_output_going()
    try:
        commands(prog_name="topview-pipeline")
    finally:
        if stop.code is not None:
            os._exit(stop.code)  # a plan that is still being made does not hold it up


if __name__ == "__main__":
    main()
