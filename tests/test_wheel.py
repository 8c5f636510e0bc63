"""The wheel in an environment without the checkout: what a user installs is complete."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

ROOT = Path(__file__).parent.parent
DEPENDENCIES = Path(dg.__file__).parents[1]
Run = Callable[..., str]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are of an environment that the wheel was installed into.

    The wheel is built from the files under version control alone. A .pth file leads to the
    dependencies; those beside them are not read, so an editable checkout is not importable.
    """
    folder = tmp_path_factory.mktemp("wheel")
    tracked = _ran(
        ["git", "ls-files", "topview_pipeline", "pyproject.toml", "README.md", "LICENSE"]
    )
    for name in tracked.split():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _ran([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(folder / "source")])
    (wheel,) = folder.glob("*.whl")
    _ran([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{DEPENDENCIES}\n", encoding="utf-8")
    bin_ = folder / "venv" / "bin"
    options = ["--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    _ran([*pip, "--python", str(bin_ / "python"), "install", *options])
    return bin_


@pytest.fixture
def environment(programs: Path) -> dict[str, str]:
    """Variables of a person who activated that environment."""
    foreign = ("TOPVIEW_", "PYTHONPATH", "DAGSTER_HOME", "VIRTUAL_ENV")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**own, "PATH": f"{programs}{os.pathsep}{own['PATH']}"}


@pytest.fixture
def run(programs: Path, environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs a program of the environment, in an empty folder, and returns its output."""

    def run(program: str, *arguments: str, folder: Path = tmp_path) -> str:
        return _ran([str(programs / program), *arguments], cwd=folder, env=environment)

    return run


def _ran(command: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def test_the_installed_package_is_the_wheel_s_and_whole(run: Run, programs: Path) -> None:
    """A data file that no package-data pattern names is missing only at the user's."""
    where = run("python", "-c", "import topview_pipeline; print(topview_pipeline.__file__)")
    package = Path(where.strip()).parent
    assert package.is_relative_to(programs.parent)
    tracked = _ran(["git", "ls-files", "topview_pipeline"]).split()
    assert [name for name in tracked if not (package.parent / name).is_file()] == []
    (licence,) = package.parent.glob("topview_pipeline-*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text(encoding="utf-8")
    version = run("python", "-c", "import topview_pipeline; print(topview_pipeline.__version__)")
    assert version.strip() in run("topview-pipeline", "--version")


@pytest.mark.timeout(300)
def test_a_project_can_be_made_checked_planned_and_run(
    run: Run, programs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """`init` copies samples out of the package; the sandbox has templates, fonts and voices of its
    own."""
    run("topview-pipeline", "init", "shop")
    shop = tmp_path / "shop"
    command = [str(programs / "topview-pipeline"), "sandbox", "--speed", "100"]
    with subprocess.Popen(
        command, cwd=shop, env=environment, stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdout is not None
        assert any("answers on port" in line for line in sandbox.stdout)
        run("topview-pipeline", "check", folder=shop)
        assert "gift-box" in run("topview-pipeline", "plan", "--all", folder=shop)
        run("topview-pipeline", "run", "--product", "gift-box", folder=shop)
        sandbox.terminate()
    assert len(list(shop.rglob("finishedVideo/*/video.mp4"))) == 1
