"""The deploy kit, as far as it can be read without a container engine or a cluster."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from signal import SIGINT
from subprocess import PIPE, STDOUT
from typing import Any

import dagster as dg
import pytest
import yaml

from topview_pipeline.cli import main
from topview_pipeline.defs.instance import DAGSTER_YAML, missing_settings
from topview_pipeline.settings import VARIABLES, PipelineConfig
from topview_pipeline.topview.http import DEFAULT_TIMEOUTS

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CHART: dict[str, Any] = {
    "imagePullSecrets": list,
    "global": {"dagsterHome": str, "postgresqlSecretName": str},
    "generatePostgresqlPasswordSecret": bool,
    "postgresql": {
        **dict.fromkeys(("postgresqlHost", "postgresqlUsername", "postgresqlDatabase"), str),
        "enabled": bool,
        "postgresqlScheme": str,
        "service": {"port": int},
    },
    "dagster-user-deployments": {
        "imagePullSecrets": list,
        "serviceAccount": {"annotations": dict},
        "deployments": list,
    },
    "runLauncher": {
        "type": str,
        "config": {
            "k8sRunLauncher": {
                "imagePullPolicy": str,
                "loadInclusterConfig": bool,
                "runK8sConfig": dict.fromkeys(
                    (
                        "containerConfig",
                        "podSpecConfig",
                        "podTemplateSpecMetadata",
                        "jobSpecConfig",
                    ),
                    dict,
                ),
            }
        },
    },
    "dagsterDaemon": {
        **dict.fromkeys(("image", "podSecurityContext", "securityContext", "resources"), dict),
        "runCoordinator": {
            "enabled": bool,
            "type": str,
            "config": {
                "queuedRunCoordinator": {"maxConcurrentRuns": int, "tagConcurrencyLimits": list}
            },
        },
        "runMonitoring": {
            "enabled": bool,
            **dict.fromkeys(("startTimeoutSeconds", "maxResumeRunAttempts"), int),
            **dict.fromkeys(("pollIntervalSeconds", "freeSlotsAfterRunEndSeconds"), int),
        },
        "runRetries": {"enabled": bool, "maxRetries": int, "retryOnAssetOrOpFailure": bool},
        "sensors": {"useThreads": bool, "numWorkers": int},
    },
    "dagsterWebserver": {
        **dict.fromkeys(("image", "podSecurityContext", "securityContext", "resources"), dict),
        "service": {"port": int},
        "readinessProbe": {"httpGet": {"port": int}},
    },
    "computeLogManager": {"type": str},
    "telemetry": {"enabled": bool},
    "additionalInstanceConfig": dict,
}
"""Fields of the chart's own schema (helm/dagster/schema in Dagster's repository) that we set."""
USER_DEPLOYMENT = {
    *("name", "image", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns", "envSecrets"),
    *("env", "resources", "podSecurityContext", "securityContext", "volumes", "volumeMounts"),
}


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def snaked(given: dict[str, Any]) -> dict[str, Any]:
    """The keys as Dagster spells them: the chart has maxRetries for max_retries."""
    return {re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", key): given[key] for key in given}


def environments(found: Any) -> list[dict[str, str]]:
    """All mappings of variables in a document."""
    if isinstance(found, list):
        return [one for inner in found for one in environments(inner)]
    if not isinstance(found, dict):
        return []
    own = {name: text for name, text in found.items() if str(name).startswith("TOPVIEW_")}
    if str(found.get("name")).startswith("TOPVIEW_"):
        own = {found["name"]: found["value"]}
    return [own] * bool(own) + environments(list(found.values()))


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.yaml")), ids=lambda path: path.name)
def test_what_is_set_is_a_setting_and_has_a_value_that_can_be_used(path: Path) -> None:
    """A misspelt limit in a values file would be no limit."""
    for found in environments(loaded(path.name)):
        assert found.keys() <= VARIABLES.keys()
        assert all(isinstance(text, str) for text in found.values()), "a variable is a text"
        PipelineConfig.from_environment(found)


def _commands(found: Any) -> list[list[str]]:
    if isinstance(found, list):
        return [one for inner in found for one in _commands(inner)]
    if not isinstance(found, dict):
        return []
    own = found.get("command")
    rest = _commands(list(found.values()))
    return [own, *rest] if isinstance(own, list) else rest


def test_every_command_in_the_kit_exists() -> None:
    ours = [
        command
        for path in DEPLOY.glob("*.yaml")
        for command in _commands(loaded(path.name))
        if command[0] == "topview-pipeline"
    ]
    assert {command[1] for command in ours} == {"sandbox", "metrics", "ledger"}
    for command in ours:
        context: Any = main.make_context("topview-pipeline", command[1:2], resilient_parsing=True)
        one: Any = main.get_command(context, command[1])
        rest = command[2:]
        if hasattr(one, "commands"):
            one, rest = one.commands[rest[0]], rest[1:]
        one.make_context(command[1], rest, resilient_parsing=False).close()


def test_the_image_is_installed_with_extras_that_there_are_and_runs_as_nobody() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", text)
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras.split(","))
    last = text.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE), "Kubernetes wants a number"
    assert "ADD " not in text
    assert all((ROOT / name).exists() for name in ("constraints.txt", "LICENSE"))
    command = shlex.split(text.rsplit("CMD", 1)[1].strip(" []\n").replace(",", ""))
    import_module(command[command.index("-m") + 1])


def test_dagster_gets_our_limits_in_compose_and_in_the_chart(tmp_path: Path) -> None:
    """Without them a backfill of 5,000 products is 5,000 processes, and a failed op runs again."""
    config = loaded("dagster.yaml")
    assert config.pop("storage")["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert missing_settings(instance) == ""

    ours, daemon = yaml.safe_load(DAGSTER_YAML), loaded("values.yaml")["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    limits = ours["concurrency"]["runs"]["tag_concurrency_limits"]
    assert queue["tagConcurrencyLimits"] == limits
    assert snaked(daemon["runRetries"]) == ours["run_retries"]


def test_the_values_are_those_that_the_chart_knows() -> None:
    """Helm takes a misspelt key without a word, where the schema does not forbid it."""

    def check(values: Any, known: Any, where: str) -> None:
        if not isinstance(known, dict):
            assert isinstance(values, known), where
            return
        assert values.keys() <= known.keys(), where
        for name, value in values.items():
            check(value, known[name], f"{where}.{name}")

    values = loaded("values.yaml")
    check(values, CHART, "values")
    for one in values["dagster-user-deployments"]["deployments"]:
        assert one.keys() <= USER_DEPLOYMENT
    for one in (*values["dagster-user-deployments"]["deployments"], values["dagsterDaemon"]):
        assert one["image"].keys() == {"repository", "tag", "pullPolicy"}
        assert one["image"]["tag"] != "latest"
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert launcher["podSpecConfig"]["terminationGracePeriodSeconds"] >= 150
    web = values["dagsterWebserver"]
    assert web["service"] == web["readinessProbe"]["httpGet"], "else it is never ready"


def test_compose_has_the_form_that_docker_wants() -> None:
    """A misspelt key ends `docker compose up` before anything was rehearsed."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_kubernetes_takes_the_pods_that_dagster_makes_of_the_values() -> None:
    """A misspelt field is found by the first run, in production."""
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes import client

    def read(kind: str, given: Any) -> Any:
        model = getattr(client, f"V1{kind}")
        return k8s_model_from_dict(model, k8s_snake_case_dict(model, given))

    values = loaded("values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    for one in (code, values["dagsterDaemon"], values["dagsterWebserver"]):
        read("ResourceRequirements", one["resources"])
        read("PodSecurityContext", one["podSecurityContext"])
        read("SecurityContext", one["securityContext"])
    for kind, name in (("Job", "ledger-upgrade.yaml"), ("Deployment", "metrics.yaml")):
        read(kind, loaded(name))

    # What the chart's templates make of them, in the instance and in the code server.
    given = snaked(values["runLauncher"]["config"]["k8sRunLauncher"])
    given["run_k8s_config"] = snaked(given["run_k8s_config"])
    given |= {"service_account_name": "dagster", "instance_config_map": "dagster-instance"}
    given["postgres_password_secret"] = values["global"]["postgresqlSecretName"]
    checked = process_config(K8sRunLauncher.config_type(), given)
    assert checked.success, checked.errors
    of_code = {name: code[name] for name in ("volumes", "volumeMounts", "resources")}
    of_code["envSecrets"] = [secret["name"] for secret in code["envSecrets"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
        launcher = K8sRunLauncher.from_config_value(None, checked.value)
    context = K8sContainerContext.create_from_config({"k8s": snaked(of_code)})
    run = dg.DagsterRun("catch_up")
    context = K8sContainerContext.create_for_run(run, launcher, True).merge(context)
    config = context.get_k8s_job_config("image:1", launcher)
    job = construct_dagster_k8s_job(config, [], "run", context.run_k8s_config)
    pod = job.spec.template.spec
    (container,) = pod.containers
    volumes = {volume.name for volume in pod.volumes}
    assert (
        {mount.name for mount in container.volume_mounts} == volumes == {"tmp", "dagster-storage"}
    )
    assert container.security_context.read_only_root_filesystem
    grace = pod.termination_grace_period_seconds
    assert (pod.security_context.run_as_user, grace) == (10001, 180)
    seconds = float(code["env"]["TOPVIEW_SHUTDOWN_SECONDS"])
    assert DEFAULT_TIMEOUTS.submit.whole <= seconds < grace, "else an answer is lost at its end"
    assert [source.secret_ref.name for source in container.env_from] == ["topview"]


def test_a_read_only_image_has_a_place_for_all_that_is_written() -> None:
    """A read-only DAGSTER_HOME made every catch_up fail."""
    storage, values = "/opt/dagster/dagster_home/storage", loaded("values.yaml")
    (one,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    for of in (one, launcher["containerConfig"]):  # the chart gives runs the volumes, and not this
        assert of["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in one["volumeMounts"]} == {"/tmp", storage}
    compose = loaded("compose.yaml")
    ours = [one for one in compose["services"].values() if one["image"] == "topview-pipeline"]
    assert len(ours) == 5
    for service in ours:
        assert service["read_only"]
        assert {place.split(":")[0] for place in service["tmpfs"]} == {"/tmp", storage}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rehearsal_of_production_pays_once_and_loses_nothing() -> None:
    """Two brands; each kind of process is killed, PostgreSQL restarted, and the bucket hangs."""
    command = [sys.executable, "-m", "deploy.rehearsal", "--no-plain", "--seconds", "780"]
    with subprocess.Popen(command, cwd=ROOT, stdout=PIPE, stderr=STDOUT, text=True) as process:
        try:
            said, _ = process.communicate(timeout=840)
        except subprocess.TimeoutExpired:
            process.send_signal(SIGINT)  # so that it ends all that it started
            said, _ = process.communicate()
    assert process.returncode == 0, said
    assert all(f"{one} killed" in said for one in ("runs are", "the daemon is")), said
    assert "| CPU a product |" in said
