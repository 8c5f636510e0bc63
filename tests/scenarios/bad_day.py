"""A shop whose sandbox repeats secrets at every turn, and the search for what came of them."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
from PIL import Image

from tests.defs.shop import Shop
from tests.scenarios.conftest import MakeShop
from tests.scenarios.dagster_processes import command
from tests.scenarios.mischief import Mischief
from topview_pipeline.sandbox.api.app import create_app
from topview_pipeline.sandbox.api.signature import Signer
from topview_pipeline.sandbox.config import SandboxConfig

KEY = "tv/Recognisable+Key=="
WRONG_KEY = "tv/Mistaken+Key=="
PHOTO_SIGNATURE = "27ae41e4649b934ca495991b7852b855"
PASSWORD = "correct-horse+battery"
LOGS_OF_EVERYTHING = """\
telemetry:
  enabled: false
python_logs:
  managed_python_loggers: [root, httpx, httpcore, asyncio]
  python_log_level: DEBUG
"""
"""As a team sets it that wants every library's log beside the run."""
CATCH_UP = ("dagster", "job", "execute", "-m", "topview_pipeline.definitions", "-j", "catch_up")
RUN = ("topview_pipeline", "run")
_SIGNED = ("X-Amz-Signature", "Signature", "Policy")


def forms(**secrets: str) -> dict[str, bytes]:
    """The forms in which secrets usually travel, each by a name for the reader of a test."""
    found: dict[str, bytes] = {}
    for name, value in secrets.items():
        plain = value.encode()
        texts = {value, quote(value, safe=""), quote_plus(value), quote(value)}
        texts |= {json.dumps(value)[1:-1], base64.b64encode(plain).decode()}
        texts |= {base64.urlsafe_b64encode(plain).decode()}
        found |= {f"{name} ({text[:12]}...)": text.encode() for text in texts}
    return found


def leaks(secrets: Mapping[str, bytes], texts: Iterable[tuple[str, bytes]]) -> list[str]:
    """Every place that holds one of the secrets."""
    return [
        f"{place} holds {name}"
        for place, content in texts
        for name, secret in secrets.items()
        if secret in content
    ]


def written_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(place, content) of each file, and of each cell of each SQLite table in them.

    A cell can be cut in two by the pages of its file, and Dagster compresses snapshots: so
    neither the files nor the cells are enough.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        place, content = str(file.relative_to(folder)), file.read_bytes()
        yield place, content
        if content.startswith(b"SQLite format 3\0"):
            yield from ((f"{place}: {cell}", value) for cell, value in _cells(file))


def _cells(file: Path) -> Iterator[tuple[str, bytes]]:
    """(table and column, content) of a SQLite file's cells; compressed ones uncompressed."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{name.decode()}"')  # noqa: S608 - its own
            columns = [f"{name.decode()}.{column[0]}" for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes):
                        with suppress(zlib.error):
                            value = zlib.decompress(value)
                        yield column, value


@dataclass
class BadDay:
    """A shop whose sandbox repeats secrets.

    Attributes:
        issued: every URL that was signed.
        said: what each command said, by a name.
    """

    shop: Shop
    mischief: Mischief
    issued: list[str]
    said: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, *arguments: str, **changes: str) -> int:
        """Run `python -m ...` on the shop with these settings changed, and keep what it says."""
        before = dict(self.shop.settings)
        self.shop.settings |= changes
        ran = command(self.shop, *arguments)
        self.shop.settings = before
        self.said[name] = ran.stdout + ran.stderr
        return ran.returncode

    def sells(self, names: str) -> None:
        """A catalogue of these products, whose photos need a password and a signature."""
        self.shop.rows.clear()
        for name in names:
            self.shop.add(name, image=self.at_the_shop(f"{name}.png"))
        self.shop.write()

    def at_the_shop(self, name: str) -> str:
        """A signed URL of a file at the shop's own server."""
        base = self.shop.control.base_url.replace("//", f"//shop:{quote(PASSWORD)}@")
        query = f"X-Amz-Signature={PHOTO_SIGNATURE}&token={quote(PASSWORD)}"
        return f"{base}/shop/{name}?{query}"

    def assert_nothing_leaked(self, *said: str) -> None:
        """No secret stands in what was written or said; `said`: by the sandbox, in this process."""
        self.said["the sandbox"] = "".join(said)
        foreign = forms(wrong_key=WRONG_KEY, password=PASSWORD, photo=PHOTO_SIGNATURE)
        queries = [dict(parse_qsl(urlsplit(url).query)) for url in self.issued]
        for query in queries:
            foreign |= forms(**{name: query[name] for name in _SIGNED if name in query})
        found = leaks(forms(key=KEY) | foreign, self.everything())
        # The sandbox knows the keys of its accounts, and nothing of what else it was given.
        found += leaks(foreign, written_below(self.shop.folder / "sandbox"))
        assert found == [], "\n".join([*found[:20], f"{len(found)} leaks"])

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All that was written and said, but for what a person wrote: catalogue and keys."""
        for place, content in written_below(self.shop.folder):
            if not place.startswith(("catalogue", "sandbox")):
                yield place, content
        for name, text in self.said.items():
            yield f"what {name} said", text.encode()


@pytest.fixture
def bad_day(make_shop: MakeShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BadDay:
    """Secrets are recognisable, and every URL that is signed is noted."""
    issued: list[str] = []
    started: list[Mischief] = []

    def noting(sign: str) -> None:
        inner = getattr(Signer, sign)

        def signed(signer: Signer, base: str, key: str, **options: object) -> str:
            issued.append(inner(signer, base, key, **options))
            return issued[-1]

        monkeypatch.setattr(Signer, sign, signed)

    def echo() -> str:
        return f"Authorization: Bearer {KEY} (or {quote(KEY, safe='')}) may not {issued[-2:]}"

    def create(config: SandboxConfig, **options: object) -> Mischief:
        started.append(Mischief(create_app(config, **options), echo))  # type: ignore[arg-type]
        return started[-1]

    noting("s3")
    noting("cloudfront")
    monkeypatch.setattr("topview_pipeline.sandbox.serve.create_app", create)
    shop = make_shop(
        yaml=LOGS_OF_EVERYTHING,
        api_key=KEY,
        state_dir=tmp_path / "sandbox",
        speed=200.0,
        concurrency=4,
        faults={"err500": 0.05, "garbage": 0.05, "nourl": 0.2, "cut_download": 0.6},
    )
    # Long enough that some files come home after all that goes wrong first.
    shop.settings["TOPVIEW_WAIT_SECONDS"] = "5"
    started[0].photos = {f"/shop/{name}.png": _photo(name) for name in "abcdefgh"}
    return BadDay(shop, started[0], issued)


def _photo(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (ord(name), 0, 0)).save(file, "PNG")
    return file.getvalue()
