"""The names that a user may import, and the fixtures for their own tests."""

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

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
PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
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


@pytest.mark.slow
def test_the_example_of_the_page_passes(tmp_path: Path) -> None:
    """A user copies it as it stands, into a project that knows nothing of our tests."""
    enable, example, _ = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "conftest.py").write_text(enable, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


@pytest.mark.slow
def test_a_missing_extra_is_one_sentence() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; import topview_pipeline.testing"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert last == (
        "ImportError: topview_pipeline.testing needs uvicorn: "
        "install topview-pipeline[sandbox] and pytest"
    )
