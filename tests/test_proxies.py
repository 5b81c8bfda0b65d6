"""Whom a request comes from: what the proxies in front say, and as many of them as there are."""

import pytest
from flask import request

from app import create_app
from tests.conftest import settings_for
from tests.fakes import FakeWeChat


@pytest.fixture(scope="module")
def seen(redis_url, tmp_path_factory):
    """Ask with headers through so many proxies: `(address, scheme)` as the application sees them."""
    folder = tmp_path_factory.mktemp("proxies")

    def ask(hops, headers):
        read = settings_for(f"sqlite:///{folder}/mall.db", redis_url, folder)
        app = create_app({**read, "TRUSTED_PROXIES": str(hops)}, wechat=FakeWeChat())
        found = []
        app.before_request(lambda: found.append((request.remote_addr, request.scheme)))
        app.test_client().get("/livez", headers=headers)
        return found[0]

    return ask


CLAIMED = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("hops", "address", "scheme"),
    [
        (0, "127.0.0.1", "http"),
        (1, "198.51.100.7", "https"),
        (2, "203.0.113.9", "http"),
        (3, "127.0.0.1", "http"),
    ],
)
def test_x31_as_many_hops_are_believed_as_there_are_proxies(seen, hops, address, scheme):
    """ASVS 4.1.3: what a client writes itself stands further left than any proxy's word."""
    assert seen(hops, CLAIMED) == (address, scheme)
