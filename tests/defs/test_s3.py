"""A run whose store is a bucket."""

from __future__ import annotations

import pytest

from tests import s3
from tests.defs.shop import Shop
from topview_pipeline.ledger import TaskState, account_id


@pytest.mark.slow
def test_a_product_costs_the_bucket_twelve_requests_and_nothing_outside_its_account(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    shop.settings |= {"TOPVIEW_PREVIEWS": "true", "TOPVIEW_CHECKS": "true"}
    shop.settings["TOPVIEW_STORE"] = "s3://bucket/media"
    shop.add("mug", "shoe", "bag")
    with s3.running() as server:
        server.account = account_id(shop.config.base_url, shop.config.require_uid())
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert shop.catch_up(products=["mug"]).success  # ledger and store get to know each other
        server.requests.clear()
        assert shop.catch_up(products=["shoe", "bag"]).success
        assert len(shop.rows_in(TaskState.STORED)) == 9
        # Each op looks at the store's identity and probes it; the plan is written and read.
        of_run = 6
        assert (server.requests.total() - of_run) / 2 <= 12, server.requests
        assert set(server.requests) == {"GET object", "PUT object"}
        assert server.refused == []
