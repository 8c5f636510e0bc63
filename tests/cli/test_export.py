"""`topview-pipeline export`: files that a person finds, copied once; the paid ones stay whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Project
from topview_pipeline.cli.export import file_names


@pytest.mark.slow
def test_each_video_is_copied_once_and_again_when_it_is_another_one(
    project: Project, invoke: Invoke
) -> None:
    project.products(3)
    rows = (project.folder / "catalogue.csv").read_text(encoding="utf-8")
    rows = rows.replace("product-0,", "SKU-1,").replace("product-1,", "Größe 42/rot,")
    (project.folder / "catalogue.csv").write_text(rows, encoding="utf-8")
    assert "3 products without one yet" in invoke("export", "out").stdout
    assert project.run("run", "--product", "SKU-1", "--product", "Größe 42/rot").returncode == 0

    said = invoke("export", "out", TOPVIEW_API_KEY="").stdout
    assert "2 videos" in said
    assert "2 copied now" in said
    assert "1 product without one yet" in said
    files = sorted((project.folder / "out").iterdir())
    assert [file.name[:12] for file in files] == ["Groe-42-rot-", "SKU-1.mp4"]
    assert "0 copied now" in invoke("export", "out").stdout

    # A copy that was edited is no link into the store: what was paid for stays whole.
    stored = list((project.home / "store").glob("*/SKU-1/finishedVideo/*/video.mp4"))
    before = stored[0].read_bytes()
    (project.folder / "out" / "SKU-1.mp4").write_bytes(b"edited")
    assert stored[0].read_bytes() == before
    assert "1 copied now" in invoke("export", "out", "--product", "SKU-1").stdout
    assert (project.folder / "out" / "SKU-1.mp4").read_bytes() == before

    # What fails for one product is its own: its copies and the others' are left as they are.
    (project.folder / "out" / "SKU-1.mp4").unlink()
    stored[0].write_bytes(before[:-1] + b"X")
    ran = invoke("export", "out")
    assert ran.exit_code == 1
    assert "not those that were stored" in ran.stdout, "damaged in the store"
    (project.folder / "out" / "SKU-1.mp4").mkdir()
    stored[0].write_bytes(before)
    files[0].unlink()
    ran = invoke("export", "out")
    assert ran.exit_code == 1
    assert "out/SKU-1.mp4 cannot be written (" in ran.stdout.replace("\n", "")
    assert sorted((project.folder / "out").iterdir()) == files, "the other one, and no half file"
    (project.folder / "out" / "SKU-1.mp4").rmdir()

    stored[0].unlink()
    ran = invoke("export", "out")
    assert ran.exit_code == 1, "one product's trouble is its own"
    assert "SKU-1: " in ran.stdout
    assert "1 video " in ran.stdout


@pytest.mark.parametrize("folder", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_written_is_one_sentence(
    project: Project, invoke: Invoke, folder: str
) -> None:
    project.products(1)
    (project.folder / "file").touch()
    ran = invoke("export", folder)
    assert ran.exit_code == 2, ran.output
    assert ran.stderr.startswith(("topview-pipeline: ", "Usage: "))


@pytest.mark.parametrize(
    ("products", "names"),
    [
        (["SKU-1", "mug"], ["SKU-1.mp4", "mug.mp4"]),
        (["a/b", "a b"], ["a-b--", "a-b--"]),
        (["SKU-1", "sku-1"], ["SKU-1--", "sku-1--"]),
        (["con", "../x", ".env"], ["_con--", "x--", "env--"]),
    ],
)
def test_no_two_videos_share_a_file_even_where_case_does_not_count(
    products: list[str], names: list[str]
) -> None:
    found = file_names(products)
    assert len({name.lower() for name in found.values()}) == len(products)
    for product, name in zip(products, names, strict=True):
        assert found[product].startswith(name)
        assert Path(found[product]).name == found[product]
