"""The names that a user may import, from the package itself."""

import inspect
import subprocess
import sys
import typing

import pytest

import topview_pipeline
from topview_pipeline.catalogue import Catalogue, InputFiles
from topview_pipeline.ledger import Ledger
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages.stage import StageResult
from topview_pipeline.store import Artifact, Store
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.http import OnAnswer

LATE = {
    one.__name__: one
    for one in (
        *(Artifact, Catalogue, InputFiles, Ledger, PipelineConfig),
        *(StageResult, Store, TopviewClient),
    )
} | {"OnAnswer": OnAnswer}
"""Rooms that the stages and the definitions load without, and users are given from."""
NAMES = [name for name in topview_pipeline.__all__ if name != "__version__"]


def test_the_package_loads_without_what_it_drives() -> None:
    """A user's `import topview_pipeline` in each process of Dagster would cost a second."""
    code = (
        "import sys, topview_pipeline; "
        "print(sorted({'dagster', 'sqlalchemy', 'httpx', 'pydantic'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_each_public_name_is_there_and_no_other() -> None:
    assert set(topview_pipeline.__all__) <= set(dir(topview_pipeline))
    assert {getattr(topview_pipeline, name).__name__ for name in NAMES} == set(NAMES)
    assert topview_pipeline.__version__
    with pytest.raises(AttributeError, match="no attribute 'PipelineConfg'"):
        getattr(topview_pipeline, "PipelineConfg")  # noqa: B009


@pytest.mark.parametrize("name", NAMES)
def test_the_types_of_a_public_name_resolve(name: str) -> None:
    """Dagster and pydantic look them up when a user builds on them."""
    public = getattr(topview_pipeline, name)
    functions = inspect.getmembers(public, inspect.isfunction)
    own = [it for _, it in functions if it.__module__.startswith(topview_pipeline.__name__)]
    for hinted in (public, *own):
        typing.get_type_hints(hinted, localns=LATE)
