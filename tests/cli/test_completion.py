"""Shell completion that offers nothing, or prints an error between two keystrokes."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project


def offered(project: Project, words: str, **changes: str) -> list[str]:
    """The words that the shell would offer for the last one."""
    ran = project.run(
        COMP_WORDS=f"topview-pipeline {words}",
        COMP_CWORD=str(len(words.split(" "))),
        _TOPVIEW_PIPELINE_COMPLETE="bash_complete",
        **changes,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in ran.stdout.split()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run --product product-", ["product-0", "product-1"]),
        ("choose product-", ["product-0", "product-1"]),
        ("run --stage b", ["bgRemovedImage"]),
        ("tas", ["tasks"]),
        ("tasks list --state exp", ["expired"]),
    ],
)
def test_what_is_there_is_offered(project: Project, words: str, expected: list[str]) -> None:
    project.products(2)
    assert offered(project, words) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "catalogue", ["", "gone.csv", "https://127.0.0.1:1/x.csv", "python:nothing:here"]
)
def test_a_catalogue_that_cannot_be_read_offers_nothing(project: Project, catalogue: str) -> None:
    assert offered(project, "run --product p", TOPVIEW_CATALOGUE=catalogue) == []
