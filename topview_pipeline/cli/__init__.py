"""The command line: `topview-pipeline`. `main` is the entrance, each command has its module."""

from topview_pipeline.cli.main import main

__all__ = ["main"]
