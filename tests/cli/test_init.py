"""`topview-pipeline init`: a folder that runs at once, and never costs anybody their own files."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from topview_pipeline.catalogue import read_catalogue
from topview_pipeline.cli import main
from topview_pipeline.sandbox.api.library import CAPTION_IDS, VOICE_IDS
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.settings import VARIABLES, CatalogueDefaults, PipelineConfig


def init(folder: Path, expected: int = 0) -> str:
    ran = CliRunner().invoke(main, ["init", str(folder)])
    assert ran.exit_code == expected, ran.output
    return ran.output


@pytest.mark.parametrize("name", ["shop", "my shop #1", "größe", "it's"])
def test_the_folder_is_a_project_whose_catalogue_and_settings_can_be_used(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blank or # in its path would cut DAGSTER_HOME off in the .env."""
    folder = tmp_path / name
    said = init(folder)
    settings = {k: v for k, v in dotenv_values(folder / ".env").items() if v}
    home = Path(settings.pop("DAGSTER_HOME"))
    assert home == folder / ".dagster_home"
    assert (home / "dagster.yaml").is_file()
    assert set(settings) <= set(VARIABLES)
    monkeypatch.chdir(folder / "photos")
    config = PipelineConfig.from_environment(settings)
    account = SandboxConfig()
    assert (config.uid, config.home) == (account.uid, folder / ".topview")
    catalogue = read_catalogue(config.require_catalogue(), CatalogueDefaults())
    assert (len(catalogue.products), catalogue.problems, catalogue.warnings) == (3, (), ())
    for product in catalogue.products.values():
        assert all(Path(ref).is_file() for ref in product.files)
        assert product.voice_id in VOICE_IDS
        assert product.caption_id in CAPTION_IDS
    assert re.search(r"cd .*shop|cd .*größe|cd .*it", said)
    for command in re.findall(r"topview-pipeline ([a-z]+)", said):
        assert main.get_command(None, command) is not None  # type: ignore[arg-type]


def test_nothing_is_ever_overwritten_and_what_is_missing_is_added(tmp_path: Path) -> None:
    """Somebody's catalogue, key or Dagster history would be gone."""
    own = ["catalogue.csv", ".env", "photos/gift-box.jpg", ".dagster_home/dagster.yaml"]
    for name in own:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine", encoding="utf-8")
    (tmp_path / "README.md").symlink_to(tmp_path / "nowhere")
    said = init(tmp_path)
    assert all((tmp_path / name).read_text(encoding="utf-8") == "mine" for name in own)
    assert not (tmp_path / "nowhere").exists()
    assert all(name in said.partition("Left as it was")[2] for name in own)
    assert (tmp_path / "workspace.yaml").is_file()
    assert "New in it: nothing" in init(tmp_path)


def test_a_full_disk_leaves_no_half_file_that_the_next_call_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", full)
        assert "cannot be written (No space left" in init(tmp_path, expected=2).replace("\n", " ")
    assert not list(tmp_path.iterdir())
    assert "Left as it was" not in init(tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    said = init(tmp_path / name, expected=2)
    assert said.startswith(("topview-pipeline: ", "Usage: "))
    assert "Traceback" not in said
