"""Several pipelines in a project of one's own: --defs and --pipeline."""

from __future__ import annotations

import json

import click
import dagster as dg
import pytest

from tests.cli.conftest import Project
from topview_pipeline.cli import main
from topview_pipeline.cli.main import _COMMANDS
from topview_pipeline.text import for_pipeline

BRANDS = """
from pathlib import Path
import dagster as dg
from topview_pipeline import PipelineConfig, build_definitions

settings = dict(base_url={base_url!r}, uid={uid!r}, api_key={api_key!r}, poll_seconds=0.05)

@dg.definitions
def brands():
    return dg.Definitions.merge(*(
        build_definitions(PipelineConfig(name=name, catalogue=f"{{name}}.csv", **settings))
        for name in {names!r}
    ))
"""


@pytest.fixture
def brands(project: Project) -> Project:
    """Two brands in a module of the project; nothing is in the environment."""
    for name, count in (("zeta", 2), ("acme", 1)):
        project.products(count)
        (project.folder / "catalogue.csv").rename(project.folder / f"{name}.csv")
    write_module(project, "two_brands", ("acme", "zeta"))
    write_module(project, "one_brand", ("acme",))
    write_module(project, "none", ())
    (project.folder / "broken.py").write_text("import no_such_module\n", encoding="utf-8")
    project.environment = {"DAGSTER_HOME": project.environment["DAGSTER_HOME"]}
    return project


def write_module(project: Project, module: str, names: tuple[str, ...]) -> None:
    sandbox = project.sandbox
    account = {"base_url": sandbox.base_url, "uid": sandbox.uid, "api_key": sandbox.api_key}
    code = BRANDS.format(names=names, **account)
    (project.folder / f"{module}.py").write_text(code, encoding="utf-8")


@pytest.mark.slow
def test_each_command_works_on_the_pipeline_that_is_named(brands: Project) -> None:
    """Also without --defs, in the folder of a project of dg; its runs are the UI's, too."""
    project = "[tool.dg.project]\nroot_module = 'brands'\ncode_location_name = 'shop'\n"
    target = "code_location_target_module = 'two_brands'\n"
    (brands.folder / "pyproject.toml").write_text(project + target, encoding="utf-8")
    ran = brands.run("run", "--pipeline", "zeta", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with dg.DagsterInstance.from_config(brands.environment["DAGSTER_HOME"]) as instance:
        (run,) = instance.get_runs()
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.location_name == "shop"
        assert run.tags[".dagster/repository"] == "__repository__@shop"
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["made"] == 6

    # Acme's one product is the same as zeta's first: it is there, and nothing is paid.
    for which in (("--defs", "two_brands", "--pipeline", "acme"), ("--defs", "one_brand")):
        plan = brands.run(*which, "plan", "--json")
        planned = json.loads(plan.stdout)
        assert planned["credits"] == 0, planned
    show = brands.refused(
        "--defs", "two_brands", "tasks", "void", "1", "--why=x", "--pipeline", "acme"
    )
    assert "belongs to the pipeline zeta. Decide about it there: --pipeline zeta" in show
    for name, rows in (("zeta", 6), ("acme", 0)):
        tasks = brands.run("tasks", "list", "--pipeline", name, "--json")
        assert json.loads(tasks.stdout)["total"] == rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("two_brands",), "two_brands: it has the pipelines acme, zeta. Name one: --pipeline"),
        (("two_brands", "--pipeline", "nilo"), "there is no pipeline 'nilo'. There are acme, zeta"),
        (("one_brand", "--pipeline", "zeta"), "there is no pipeline 'zeta'. There is acme."),
        (("none",), "none: there is no pipeline. Make one with topview_pipeline.build_definitions"),
        (("broken",), "broken: its definitions cannot be loaded (ModuleNotFoundError: No module"),
        (("nowhere",), "nowhere: its definitions cannot be loaded (ModuleNotFoundError"),
        (("json",), "json: its definitions cannot be loaded"),
    ],
)
def test_what_cannot_be_found_is_named_with_what_there_is(
    brands: Project, arguments: tuple[str, ...], says: str
) -> None:
    assert says in brands.refused("--defs", *arguments, "plan")


@pytest.mark.parametrize("arguments", [("plan",), ("run",), ("plan", "--pipeline", "acme")])
def test_of_several_code_locations_one_must_be_named(
    brands: Project, arguments: tuple[str, ...]
) -> None:
    """The environment's pipeline is none of them, and would be paid for."""
    modules = "load_from: [python_module: one_brand, python_module: two_brands]\n"
    (brands.folder / "workspace.yaml").write_text(modules, encoding="utf-8")
    says = "it has the code locations one_brand, two_brands. Name one: --defs one_brand"
    assert says in brands.refused(*arguments)


@pytest.mark.parametrize("arguments", [("--demo", "run"), ("demo",)])
def test_the_demo_never_spends_on_a_project_of_ones_own(
    brands: Project, arguments: tuple[str, ...]
) -> None:
    assert "leave one of them out" in brands.refused("--defs", "one_brand", *arguments)


@pytest.mark.slow
def test_the_environments_pipeline_has_a_name_too(project: Project) -> None:
    project.products(1)
    assert "There is topview." in project.refused("plan", "--pipeline", "acme")
    assert project.run("plan", "--pipeline", "topview").returncode == 0


def test_a_command_in_a_message_gets_the_pipeline_where_it_has_that_option() -> None:
    """A command that is new must not be forgotten."""
    context = click.Context(main)
    for name in _COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        subs = command.commands if isinstance(command, click.Group) else {"": command}
        for sub, one in subs.items():
            line = f"topview-pipeline {name} {sub}".rstrip()
            has_option = any(option.name == "pipeline" for option in one.params)
            said = for_pipeline(f"{line} --x", "acme", defs="m")
            with_both = line.replace("pipeline ", "pipeline --defs m ", 1) + " --pipeline acme --x"
            assert said == (with_both if has_option else f"{line} --x")
            assert for_pipeline(said, "acme") == said
