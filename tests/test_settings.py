"""Settings: mistyped, half-set and misplaced environments, and what the README promises."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from topview_pipeline.setting_types import SettingsError, project_root
from topview_pipeline.settings import (
    VARIABLES,
    CatalogueDefaults,
    PipelineConfig,
    spelled,
    unknown_variables,
)
from topview_pipeline.stages import STAGES

Read = Callable[..., PipelineConfig]

SAMPLES = dict.fromkeys((name.removeprefix("TOPVIEW_") for name in VARIABLES), "some") | {
    "BASE_URL": "http://127.0.0.1:8099",
    "KEY_PREFIX": "acme/de",
    "OWNERS": "team:shop, a@acme.example",
    "NIGHTLY_CRON": "30 1 * * 1-5",
    "NIGHTLY_TIMEZONE": "Europe/Berlin",
    "HOME": "state",
    "LEDGER_URL": "sqlite:///money.db",
    "STORE": "s3://bucket/store",
    "CATALOGUE": "python:shop.products:source",
    "SLOTS": "12",
    "MIGRATE": "false",
    "ALERT_URL": "https://hooks.slack.com/services/T/B/x",
    "LOG_FORMAT": "json",
    "RUN_SIZE": "200",
    "CREDIT_LIMIT": "0",
    "NIGHTLY_CREDIT_LIMIT": "7.5",
    "PRICES": "image_replace=0.5",
    "POLL_SECONDS": "0.05",
    "SHUTDOWN_SECONDS": "20",
    "TRUST_PHOTOS_FOR": "6h",
    "WAIT_SECONDS": "0",
    "DEADLINE_REMOVE_BACKGROUND": "61",
    "DEADLINE_IMAGE_REPLACE": "62",
    "DEADLINE_IMAGE2VIDEO": "90.5",
    "ACCOUNT_EXCLUSIVE": "true",
    "UNKNOWN_DEADLINES": "3",
    "CANARY": "3",
    "CONTRACT": "contract.json",
    "SCENE_JUDGE": "python:looks:judge",
    "WHEN_NO_FACE": "avatar2",
    "UNKNOWN_IDS": "fail",
    "GATE": "approve",
    "PREVIEWS": "No",
    "CHECKS": "off",
    "ACCELERATE_UPLOADS": "on",
    "MEDIA_URL": "https://shop.example/media/",
    "GALLERY_URL": "https://shop.example/gallery/",
    "CODE_URL": "https://git.example/acme/tree/main/",
    "DEFAULT_TEMPLATE_IMAGE": "templates/hand.png",
    "DEFAULT_USER_FACE_IMAGE": "https://host/face.jpg",
    "DEFAULT_VOICE_ID": "12345",  # text, whatever it looks like
    "DEFAULT_MODE": "avatar4Fast",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    (tmp_path / "contract.json").write_text(
        '{"prices": {"image_replace/manual": "3", "image2video/lite": "0.5"},'
        ' "seconds": {"image_replace": 33.0}}'
    )
    return tmp_path


@pytest.fixture
def read(project: Path) -> Read:
    """Read an environment of the given variables, named without their prefix."""

    def read(**variables: str) -> PipelineConfig:
        environ = {f"TOPVIEW_{name}": value for name, value in variables.items()}
        return PipelineConfig.from_environment(environ, start=project)

    return read


def test_an_empty_environment_is_enough(project: Path, read: Read) -> None:
    config = read()
    assert (config.uid, config.api_key, config.catalogue) == (None, None, None)
    assert config.home == project / ".topview"
    assert make_url(config.ledger_url).database == str(project / ".topview" / "ledger.db")
    assert config.store == str(project / ".topview" / "store")
    assert (config.slots, config.previews, config.credit_limit) == (4, True, None)
    assert {price.source for price in config.prices.prices.values()} == {"the default price list"}
    assert (config.deadline_seconds, config.defaults) == ({}, CatalogueDefaults())


def test_prices_and_times_of_a_probe_are_taken_under_those_that_are_set(read: Read) -> None:
    """Nobody copies numbers from one file into another without a slip."""
    config = read(CONTRACT="contract.json", PRICES="image2video/pro=2")
    found = [
        config.prices.of("image_replace", "manual", None),
        config.prices.of("image_replace", "auto", None),
        config.prices.of("image2video", "lite", None),
        config.prices.of("image2video", "pro", None),
    ]
    assert found == [3.0, 1.0, 0.5, 2.0]
    for own, expected in (("", 3.0), ("image_replace=7", 7.0)):
        prices = read(CONTRACT="contract.json", PRICES=own).prices
        assert prices.of("image_replace", "manual", None) == expected
    assert config.typical_seconds("image_replace") == 33.0
    assert config.typical_seconds("image2video") is None


@pytest.mark.parametrize("text", ["", "[]", '{"prices": {"x": "1"}, "seconds": {}}'])
def test_a_contract_that_is_none_is_refused(read: Read, project: Path, text: str) -> None:
    (project / "other.json").write_text(text)
    with pytest.raises(SettingsError, match=r"TOPVIEW_CONTRACT: .*is no contract"):
        read(CONTRACT="other.json")
    with pytest.raises(SettingsError, match=r"TOPVIEW_CONTRACT: .*cannot be read"):
        read(CONTRACT="gone.json")


@pytest.mark.parametrize("blank", ["", "  ", "\t\n"])
def test_blank_values_are_unset_as_in_an_env_file_with_blanks(read: Read, blank: str) -> None:
    assert read(**dict.fromkeys(SAMPLES, blank)) == read()


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_arrives_alone_and_stripped(read: Read, name: str) -> None:
    word = name.removeprefix("TOPVIEW_")
    config = read(**{word: f" {SAMPLES[word]}\n"})
    assert config != read()
    assert config == read(**{word: SAMPLES[word]})


def test_all_variables_arrive_together_as_plain_values(project: Path, read: Read) -> None:
    other_templates = {"DEFAULT_TEMPLATE_IMAGE_FILE_ID", "DEFAULT_AVATAR_ID"}
    config = read(**{k: v for k, v in SAMPLES.items() if k not in other_templates})
    assert config.require_account() == ("some", SecretStr("some"))
    assert (config.slots, config.poll_seconds, config.wait_seconds) == (12, 0.05, 0)
    assert (config.shutdown_seconds, config.trust_photos_for) == (20, 6 * 3600)
    assert read(TRUST_PHOTOS_FOR="1d").trust_photos_for == 86_400
    assert (config.previews, config.checks, config.account_exclusive) == (False, False, True)
    assert (config.catalogue, config.store) == (SAMPLES["CATALOGUE"], SAMPLES["STORE"])
    sources = {name: price.source for name, price in config.prices.prices.items()}
    assert (sources["image_replace"], sources["image2video/avatar2"]) == (
        "TOPVIEW_PRICES",
        "the default price list",
    )
    assert [*config.deadline_seconds.values()] == [61, 62, 90.5]
    assert config.defaults.template_image == str(project / "templates" / "hand.png")
    left_out = {"template_image", "template_image_file_id", "avatar_id"}
    for name, value in config.defaults.model_dump(exclude=left_out).items():
        assert value == SAMPLES[f"DEFAULT_{name.upper()}"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BASE_URL", "api.topview.ai", "not an http or https URL. Use https://host"),
        ("BASE_URL", "//api.topview.ai", "not an http or https URL. Use https://host"),
        ("BASE_URL", "https://user:hunter2/@host", "not an http or https URL"),
        ("BASE_URL", "https://ho st", "not an http or https URL"),
        ("BASE_URL", "https://user:hunter2@host", "a user, a query or a fragment"),
        ("BASE_URL", "https://host/?key=hunter2", "a user, a query or a fragment"),
        ("MEDIA_URL", "https://host/#hunter2", "a user, a query or a fragment"),
        ("SLOTS", "0", "'0' cannot be used. It must be at least 1."),
        ("SLOTS", "2.5", "It must be a whole number."),
        ("SLOTS", "four", "'four' cannot be used. It must be a whole number."),
        ("SLOTS", "9" * 5000, "exceeded maximum size"),
        ("PREVIEWS", "maybe", "'maybe' cannot be used. It must be true or false."),
        ("WHEN_NO_FACE", "skip", "It must be 'fail' or 'avatar2'."),
        ("DEFAULT_MODE", "Lite", "It must be 'lite', 'pro', 'avatar2', 'avatar4' or 'avatar4F"),
        ("CREDIT_LIMIT", "50 credits", "'50 credits' cannot be used. It must be a number."),
        ("NIGHTLY_CREDIT_LIMIT", "7,5", "'7,5' cannot be used. It must be a number."),
        ("CREDIT_LIMIT", "-5", "It must be at least 0."),
        ("DEADLINE_REMOVE_BACKGROUND", "0", "It must be greater than 0."),
        ("PRICES", "image_replace=-1", "'image_replace=-1' cannot be read as a price. Write "),
        ("PRICES", "image2video/lite=0,5", "'5' cannot be read as a price. Write kind=credits"),
        ("PRICES", "image_replace=1;image2video=2", "and commas between: image_replace/manual=2,"),
        ("PRICES", "lite=0.5", "'lite=0.5' names no kind of task"),
        ("LEDGER_URL", "/data/ledger.db", "not a SQLAlchemy URL (ArgumentError). Use sqlite:////f"),
        ("LEDGER_URL", "postgresql://user:pass@word:hunter2@host/ledger", "not a SQLAlchemy URL"),
        ("LEDGER_URL", "mysql://user:hunter2@host/ledger", "mysql is not supported"),
        ("LEDGER_URL", "postgresql+psycopg://user:hunter2@host/ledger", "psycopg is not supported"),
        ("LEDGER_URL", "postgresql://user:hunter2@host", "it names no database"),
        ("LEDGER_URL", "sqlite://", "forgets what was paid for"),
        ("LEDGER_URL", "sqlite:///:memory:", "forgets what was paid for"),
        ("LEDGER_URL", "sqlite:///file:ledger?mode=memory&uri=true", "forgets what was paid for"),
        (
            "STORE",
            "memory://hunter2",
            "gone with its process, and all that was paid. Name a folder",
        ),
        ("STORE", "Memory:/bucket", "gone with its process"),
        ("HOME", "s3://bucket/home", "it is a URL. Name a folder"),
        ("UID", "two words", "no header takes"),
        ("API_KEY", "Bearer hunter2", "without the word Bearer"),
        ("API_KEY", "hunter2é", "no header takes"),
        ("NAME", "two words", "'two words' is no name for Dagster. Use letters, digits and _."),
        ("NAME", "acme/de", "no name for Dagster"),
        ("KEY_PREFIX", "acme//de", "'' is no part of an asset key"),
        ("OWNERS", "content", "'content' is not an owner. Use an e-mail address, or team:content"),
        ("NIGHTLY_CRON", "at two", "'at two' is not a cron schedule"),
        (
            "NIGHTLY_TIMEZONE",
            "Berlin",
            "'Berlin' is not a time zone. Use a name such as Europe/Ber",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_explained_and_never_quoted_when_secret(
    read: Read, name: str, value: str, says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    error = caught.value
    assert error.where == f"TOPVIEW_{name}"
    assert str(error).startswith(f"TOPVIEW_{name}: ")
    assert says in str(error)
    assert not {"\n", "pydantic", "None"} & {str(error), *str(error).split()}
    assert "hunter2" not in str(error)
    assert error.__context__ is None  # pydantic's own error would print the values


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("TEMPLATE_IMAGE", "AVATAR_ID"),
        ("TEMPLATE_IMAGE", "TEMPLATE_IMAGE_FILE_ID"),
        ("TEMPLATE_IMAGE_FILE_ID", "AVATAR_ID"),
    ],
)
def test_two_default_templates_are_refused_not_one_of_them_dropped(
    read: Read, first: str, second: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{f"DEFAULT_{first}": "a", f"DEFAULT_{second}": "b"})
    assert str(caught.value) == (
        f"TOPVIEW_DEFAULT_{second}: it cannot go with TOPVIEW_DEFAULT_{first}. Set one of the two."
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "much", "1e999"])
@pytest.mark.parametrize(
    "name", sorted(name for name in SAMPLES if re.search("SLOT|LIM|ONDS|DEAD", name))
)
def test_a_number_that_would_switch_a_limit_off_is_refused(
    read: Read, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=rf"^TOPVIEW_{name}: '{value}' cannot be used. It must"):
        read(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BASE_URL", "HTTPS://Api.Topview.AI:443/", "https://api.topview.ai"),
        ("BASE_URL", "http://[::1]:8099//", "http://[::1]:8099"),
        ("MEDIA_URL", "https://proxy/topview/", "https://proxy/topview"),
        # SQLAlchemy takes the short scheme for another driver from 2.1 on.
        ("LEDGER_URL", "postgresql://u:p%40@host/name", "postgresql+psycopg2://u:p%40@host/name"),
    ],
)
def test_account_and_ledger_hang_on_one_spelling(
    read: Read, name: str, value: str, expected: str
) -> None:
    assert getattr(read(**{name: value}), name.lower()) == expected


def test_secrets_stay_out_of_the_repr(read: Read) -> None:
    config = read(
        API_KEY="sk-hunter2",
        LEDGER_URL="postgresql://user:hunter2@host/ledger",
        STORE="ftp://user:hunter2@host/store",
        CATALOGUE="https://host/catalogue.csv?signature=hunter2",
        DEFAULT_TEMPLATE_IMAGE="https://host/hand.png?signature=hunter2",
    )
    assert "hunter2" not in repr(config)


def test_files_are_the_same_from_wherever_a_process_starts(
    project: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "down")
    variables = {"HOME": "state", "CATALOGUE": "products.csv", "STORE": "made"}
    variables["LEDGER_URL"] = "sqlite:///money.db?timeout=5"
    config = PipelineConfig.from_environment({f"TOPVIEW_{k}": v for k, v in variables.items()})
    assert config == read(**variables)
    assert config.home == project / "state"
    assert make_url(config.ledger_url).database == str(project / "money.db")
    assert config.catalogue == str(project / "products.csv")
    assert config.store == str(project / "made")
    in_code = PipelineConfig(store="made", home=Path("state"))
    assert (in_code.store, in_code.home) == (config.store, config.home)


@pytest.mark.parametrize("folder", ["plain", "with blanks", "später", "50%25 off", "what?"])
def test_the_default_ledger_lies_in_home_whatever_its_name(read: Read, folder: str) -> None:
    if sys.version_info < (3, 11) and {"%", "?"} & set(folder):
        pytest.skip("SQLAlchemy 2.0 has no spelling for it")
    config = read(HOME=folder)
    assert make_url(config.ledger_url).database == str(config.home / "ledger.db")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), "shop/deep"),
        (("shop/workspace.yaml",), "shop"),
        (("shop/.env",), "shop"),
        (("workspace.yaml", "shop/.env"), "shop"),
        (("workspace.yaml", "shop/.env/"), "."),
    ],
    ids=["none", "workspace", "env", "own folder in a clone", "a folder named .env"],
)
def test_the_project_is_the_nearest_folder_with_a_workspace_or_an_env_file_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], expected: str
) -> None:
    """A catalogue beside me was looked for in the repository that the command comes from."""
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    for name in there:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "shop" / "deep")
    assert project_root() == project_root(tmp_path / "shop" / "deep") == tmp_path / expected


def test_only_from_environment_reads_the_environment_and_at_the_call(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_SLOTS", "9")
    assert PipelineConfig().slots == 4
    assert PipelineConfig.from_environment(start=project).slots == 9


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"slots": 0}, "slots: 0 cannot be used. It must be at least 1."),
        ({"apikey": "hunter2"}, "apikey: Extra inputs are not permitted"),
        ({"api_key": 12345}, "api_key: Input should be a valid string"),
        ({"defaults": {"mode": "x"}}, "defaults.mode: 'x' cannot be used. It must be 'lite"),
        ({"deadline_seconds": {"toy": -1}}, "deadline_seconds.toy: -1 cannot be used. It must be"),
    ],
)
def test_a_config_made_in_code_is_checked_like_the_environment(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        PipelineConfig.model_validate(wrong)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("variables", "missing"), [({}, "UID"), ({"UID": "u"}, "API_KEY")])
def test_a_missing_account_is_named_only_when_it_is_needed(
    read: Read, variables: dict[str, str], missing: str
) -> None:
    config = read(**variables)
    with pytest.raises(SettingsError, match=f"^TOPVIEW_{missing}: it is not set. Copy it from"):
        config.require_account()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("TOPVIEW_SLOT", "TOPVIEW_SLOTS"),
        ("TOPVIEW_CREDITLIMIT", "TOPVIEW_CREDIT_LIMIT"),
        ("TOPVIEW_CREDIT_LIMITS", "TOPVIEW_CREDIT_LIMIT"),
        ("TOPVIEW_CREDITS_LIMIT", "TOPVIEW_CREDIT_LIMIT"),
        ("TOPVIEW_APIKEY", "TOPVIEW_API_KEY"),
        ("TOPVIEW_CATALOG", "TOPVIEW_CATALOGUE"),
        ("TOPVIEW_PRICE", "TOPVIEW_PRICES"),
        ("TOPVIEW_DEADLINE_IMAGE_REPLAEC", "TOPVIEW_DEADLINE_IMAGE_REPLACE"),
        ("topview_uid", "TOPVIEW_UID"),
        ("TOPVIEW_ZZZZZZ", None),
    ],
)
def test_a_mistyped_variable_is_found_with_the_one_that_was_meant(
    name: str, nearest: str | None
) -> None:
    environ = {name: "1", "TOPVIEW_STORE": "made", "PATH": "/bin", "MY_TOPVIEW_UID": "u"}
    assert unknown_variables(environ) == [(name, nearest)]


def test_the_documentation_lists_every_variable_as_the_model_has_it() -> None:
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in VARIABLES.items():
        is_unset = field.default is None or field.default_factory is not None
        default = field.default
        if isinstance(default, tuple | bool):
            default = ",".join(default) if isinstance(default, tuple) else str(default).lower()
        lines.append(f"| `{name}` | {'' if is_unset else f'`{default}`'} | {field.description} |")
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", page, re.DOTALL)
    assert table is not None
    assert table[1].splitlines() == lines
    assert all((field.description or "").endswith(".") for field in VARIABLES.values())


def test_the_documented_deadlines_are_the_stages_own() -> None:
    for stage in STAGES:
        meaning = VARIABLES[f"TOPVIEW_DEADLINE_{stage.kind.upper()}"].description
        assert f"Unset: {stage.deadline_seconds:g}." in str(meaning)


def test_loading_the_settings_loads_neither_a_database_nor_dagster() -> None:
    code = """if True:
        import sys, topview_pipeline.settings as settings
        settings.PipelineConfig.from_environment({})
        print({"sqlalchemy", "httpx", "dagster"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_copy_is_checked_and_what_follows_from_others_follows(tmp_path: Path) -> None:
    """pydantic's own keeps the prefix of the old name, and takes any value."""
    config = PipelineConfig(home=tmp_path, uid="u", api_key="k", defaults={"mode": "pro"})
    copy = config.model_copy(update={"name": "acme", "home": tmp_path / "acme"})
    assert (copy.key_prefix, copy.store) == (("acme",), str(tmp_path / "acme" / "store"))
    assert copy.require_account()[1].get_secret_value() == "k"
    assert copy.defaults.mode == "pro"
    assert copy.model_copy(update={"name": "topview"}).key_prefix == ()
    with pytest.raises(SettingsError, match="slots: 0 cannot be used"):
        config.model_copy(update={"slots": 0})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (None, "raise TOPVIEW_CREDIT_LIMIT, or TOPVIEW_DEFAULT_MODE=pro; TOPVIEW_TASK_ID is none"),
        ({}, "raise `credit_limit`, or `defaults.mode`=pro; TOPVIEW_TASK_ID is none"),
        (
            {"credit_limit": "account.credits_a_day"},
            "raise `account.credits_a_day`, or `defaults.mode`=pro; TOPVIEW_TASK_ID is none",
        ),
    ],
)
def test_a_message_names_settings_where_they_were_written(
    keys: dict[str, str] | None, said: str
) -> None:
    message = "raise TOPVIEW_CREDIT_LIMIT, or TOPVIEW_DEFAULT_MODE=pro; TOPVIEW_TASK_ID is none"
    assert spelled(message, keys) == said
