"""Settings: what a mistyped, half-set or misplaced environment does."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from topview_pipeline.settings import (
    DEFAULT_IMAGE_EDIT_PROMPT,
    VARIABLES,
    CatalogueDefaults,
    Settings,
    SettingsError,
    project_root,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    return tmp_path


def _read(project: Path, **variables: str) -> Settings:
    return Settings.from_environment(variables, start=project)


def test_an_empty_environment_is_enough(project: Path) -> None:
    settings = _read(project)
    assert settings.base_url == "https://api.topview.ai"
    assert (settings.uid, settings.api_key, settings.catalogue) == (None, None, None)
    assert settings.home == project / ".topview"
    assert make_url(settings.ledger_url).database == str(project / ".topview" / "ledger.db")
    assert settings.artifacts == str(project / ".topview" / "artifacts")
    assert (settings.max_concurrent_tasks, settings.previews) == (4, True)
    assert (settings.poll_seconds, settings.wait_seconds) == (3, 1800)
    assert settings.deadline_seconds == {
        "remove_background": 600,
        "image_replace": 1200,
        "image2video": 3600,
    }
    assert settings.when_no_face == "fail"
    assert settings.defaults == CatalogueDefaults()


def test_empty_values_are_unset_as_in_an_env_file_with_blanks(project: Path) -> None:
    blank = {variable.name: "  " for variable in VARIABLES}
    assert Settings.from_environment(blank, start=project) == _read(project)


def test_the_documented_table_is_all_that_is_read(project: Path) -> None:
    class Watched(Mapping[str, str]):
        asked: set[str] = set()  # noqa: RUF012 - one test, one instance

        def __getitem__(self, name: str) -> str:
            self.asked.add(name)
            raise KeyError(name)

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("the environment was listed")

        def __len__(self) -> int:
            return 1

    environ = Watched()
    Settings.from_environment(environ, start=project)
    assert environ.asked == {variable.name for variable in VARIABLES}
    assert all(variable.meaning.endswith(".") for variable in VARIABLES)


def test_the_environment_is_read_at_the_call_and_not_at_import(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_UID", "late")
    assert Settings.from_environment(start=project).uid == "late"


def test_every_variable_arrives(project: Path) -> None:
    settings = _read(
        project,
        TOPVIEW_UID="someone",
        TOPVIEW_MAX_CONCURRENT_TASKS="12",
        TOPVIEW_PREVIEWS="No",
        TOPVIEW_POLL_SECONDS="0.05",
        TOPVIEW_WAIT_SECONDS="0",
        TOPVIEW_DEADLINE_IMAGE2VIDEO="90.5",
        TOPVIEW_WHEN_NO_FACE="avatar2",
        TOPVIEW_DEFAULT_TEMPLATE_IMAGE="templates/hand.png",
        TOPVIEW_DEFAULT_TEMPLATE_IMAGE_FILE_ID="t1",
        TOPVIEW_DEFAULT_AVATAR_ID="a1",
        TOPVIEW_DEFAULT_IMAGE_EDIT_PROMPT="Hold it.",
        TOPVIEW_DEFAULT_USER_FACE_IMAGE="https://host/face.jpg",
        TOPVIEW_DEFAULT_VOICE_ID="v1",
        TOPVIEW_DEFAULT_CAPTION_ID="c1",
        TOPVIEW_DEFAULT_MODE="avatar4Fast",
    )
    assert settings.uid == "someone"
    assert settings.max_concurrent_tasks == 12
    assert settings.previews is False
    assert (settings.poll_seconds, settings.wait_seconds) == (0.05, 0)
    assert settings.deadline_seconds["image2video"] == 90.5
    assert settings.when_no_face == "avatar2"
    assert settings.defaults == CatalogueDefaults(
        template_image=str(project / "templates" / "hand.png"),
        template_image_file_id="t1",
        avatar_id="a1",
        image_edit_prompt="Hold it.",
        user_face_image="https://host/face.jpg",
        voice_id="v1",
        caption_id="c1",
        mode="avatar4Fast",
    )
    assert DEFAULT_IMAGE_EDIT_PROMPT != "Hold it."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOPVIEW_BASE_URL", "api.topview.ai"),
        ("TOPVIEW_BASE_URL", "ftp://api.topview.ai"),
        ("TOPVIEW_BASE_URL", "https://"),
        ("TOPVIEW_BASE_URL", "https://host:port"),
        ("TOPVIEW_BASE_URL", "http://[::1"),
        ("TOPVIEW_BASE_URL", "https://ho st"),
        ("TOPVIEW_BASE_URL", "https://user:hunter2@host"),
        ("TOPVIEW_BASE_URL", "https://host/?key=hunter2"),
        ("TOPVIEW_MAX_CONCURRENT_TASKS", "0"),
        ("TOPVIEW_MAX_CONCURRENT_TASKS", "2.5"),
        ("TOPVIEW_MAX_CONCURRENT_TASKS", "²"),
        ("TOPVIEW_PREVIEWS", "maybe"),
        ("TOPVIEW_POLL_SECONDS", "0"),
        ("TOPVIEW_POLL_SECONDS", "nan"),
        ("TOPVIEW_WAIT_SECONDS", "-1"),
        ("TOPVIEW_WAIT_SECONDS", "inf"),
        ("TOPVIEW_DEADLINE_REMOVE_BACKGROUND", "0"),
        ("TOPVIEW_WHEN_NO_FACE", "skip"),
        ("TOPVIEW_DEFAULT_MODE", "avatar3"),
        ("TOPVIEW_LEDGER_URL", "/data/ledger.db"),
        ("TOPVIEW_LEDGER_URL", "mysql://user:hunter2@host/ledger"),
        ("TOPVIEW_LEDGER_URL", "postgresql+psycopg://user:hunter2@host/ledger"),
        ("TOPVIEW_LEDGER_URL", "postgresql://user:hunter2@host"),
        ("TOPVIEW_LEDGER_URL", "postgresql://user:pass@word:hunter2@host/ledger"),
        ("TOPVIEW_LEDGER_URL", "sqlite://"),
        ("TOPVIEW_LEDGER_URL", "sqlite:///:memory:"),
        ("TOPVIEW_HOME", "s3://bucket/home"),
        ("TOPVIEW_UID", "two words"),
        ("TOPVIEW_API_KEY", "Bearer hunter2"),
        ("TOPVIEW_API_KEY", "hunter2\nsecond line"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_never_quoted_when_secret(
    project: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(project, **{name: value})
    assert caught.value.variable == name
    assert str(caught.value).startswith(f"{name}: ")
    assert caught.value.mend.endswith(".")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("HTTPS://Api.Topview.AI:443/", "https://api.topview.ai"),
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099"),
        ("http://[::1]:8099//", "http://[::1]:8099"),
        ("https://proxy/topview/", "https://proxy/topview"),
    ],
)
def test_one_origin_has_one_spelling_since_the_account_hangs_on_it(
    project: Path, value: str, expected: str
) -> None:
    assert _read(project, TOPVIEW_BASE_URL=value).base_url == expected


def test_secrets_stay_out_of_the_repr(project: Path) -> None:
    settings = _read(
        project,
        TOPVIEW_API_KEY="sk-hunter2",
        TOPVIEW_ARTIFACTS="ftp://user:hunter2@host/artifacts",
        TOPVIEW_CATALOGUE="https://host/catalogue.csv?signature=hunter2",
    )
    assert "hunter2" not in repr(settings)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-hunter2"


def test_the_ledger_is_the_same_file_from_wherever_a_process_starts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = project / "deep" / "down"
    deep.mkdir(parents=True)
    variables = {
        "TOPVIEW_HOME": "state",
        "TOPVIEW_LEDGER_URL": "sqlite:///money.db?timeout=5",
        "TOPVIEW_CATALOGUE": "products.csv",
        "TOPVIEW_ARTIFACTS": "made",
    }
    monkeypatch.chdir(deep)
    settings = Settings.from_environment(variables)
    assert settings == _read(project, **variables)
    assert settings.home == project / "state"
    assert make_url(settings.ledger_url).database == str(project / "money.db")
    assert settings.catalogue == str(project / "products.csv")
    assert settings.artifacts == str(project / "made")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_a_ledger_on_postgresql_keeps_its_password_to_itself(project: Path, scheme: str) -> None:
    url = f"{scheme}://user:hunter2@host/ledger"
    settings = _read(project, TOPVIEW_LEDGER_URL=url)
    assert settings.ledger_url == url
    assert "hunter2" not in repr(settings)


def test_the_project_is_where_workspace_yaml_is_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_root = tmp_path / "installed"
    monkeypatch.setattr(
        "topview_pipeline.settings.__file__", str(package_root / "topview_pipeline" / "settings.py")
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert project_root() == elsewhere
    package_root.mkdir()
    (package_root / "workspace.yaml").touch()
    assert project_root() == package_root
    (tmp_path / "workspace.yaml").touch()
    assert project_root() == tmp_path
