"""`python -m topview_pipeline.cli`: the same as `topview-pipeline`."""

from topview_pipeline.cli import main

if __name__ == "__main__":
    main()
