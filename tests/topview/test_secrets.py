"""Keys and signatures appear in no message, no repr and no log."""

import io
import logging
import traceback

import httpx
import pytest

from tests.topview.support import KEY, PNG, TASK, client, envelope, run
from topview_pipeline.redaction import bare_url, without_queries
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import QueryError, QueryRejected, TopviewError

SIGNED = "https://aigc.s3.test/a/b.png?X-Amz-Credential=EXAMPLE&X-Amz-Signature=SIGNATURE"


def test_queries_are_cut_out_of_text() -> None:
    text = without_queries(f"could not fetch '{SIGNED}' (or s3.test/x?Signature=S~1, why?)")
    assert text == "could not fetch 'https://aigc.s3.test/a/b.png?…' (or s3.test/x?… why?)"


def test_of_a_url_scheme_host_and_path_are_shown() -> None:
    assert bare_url(SIGNED) == "https://aigc.s3.test/a/b.png"
    assert bare_url(httpx.URL("https://me:secret@s3.test:444/a?b=c#d")) == "https://s3.test:444/a"


def test_an_error_drops_signatures_from_its_parts() -> None:
    error = TopviewError(f"broke at {SIGNED}", doing=f"downloading {SIGNED}", http_status=500)
    for text in (str(error), repr(error), error.message, error.doing):
        assert "SIGNATURE" not in text


@pytest.mark.parametrize("shown", [repr, str, lambda http: repr(vars(http))])
def test_a_client_does_not_show_its_key(shown: object) -> None:
    assert callable(shown)
    text = shown(client())
    assert KEY not in text
    assert "Bearer" not in text


def test_a_key_that_the_server_repeats_is_masked() -> None:
    def api(request: httpx.Request) -> httpx.Response:
        return envelope(code="4006", message=f"{request.headers['Authorization']} refused")

    with pytest.raises(QueryRejected, match=r"Bearer \*\*\* refused"):
        run(_query(client(api)))


def test_an_unreadable_result_is_described_without_its_urls() -> None:
    def api(request: httpx.Request) -> httpx.Response:
        images = [{"imageId": [SIGNED], "url": SIGNED}]
        return envelope({"taskId": TASK, "replaceProductResult": images})

    with pytest.raises(QueryError, match=r"replaceProductResult\.0\.imageId") as caught:
        run(_query(client(api)))
    assert "SIGNATURE" not in "".join(traceback.format_exception(caught.value))


def test_httpx_does_not_log_signatures(caplog: pytest.LogCaptureFixture) -> None:
    async def inside() -> None:
        async with client(media=lambda _: httpx.Response(200, content=PNG)) as http:
            await http.download(SIGNED, io.BytesIO(), max_bytes=1000, expect="image")

    with caplog.at_level(logging.DEBUG):
        run(inside())
    assert "GET https://aigc.s3.test/a/b.png" in caplog.text
    assert "SIGNATURE" not in caplog.text


async def _query(http: TopviewClient) -> object:
    async with http:
        return await http.query_image_replace(TASK)
