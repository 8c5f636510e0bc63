"""The fixtures for users' own tests, as docs/testing.md shows them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")


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
