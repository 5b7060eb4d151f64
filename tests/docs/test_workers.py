"""What docs/workers.md and docs/rotation.md say of the shared cache is compared with the code and with a Redis."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_foreign_token.errors import REST
from flask_foreign_token.introspection.introspection_endpoint import IN_FLIGHT
from flask_foreign_token.introspection.opaque import INACTIVE_TTL
from flask_foreign_token.introspection.remote_document import YIELD
from flask_foreign_token.introspection.remote_keys import UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL
from flask_foreign_token.introspection.shared_document import LOOK, SHORT_WAIT, WAIT
from flask_foreign_token.redis_cache import LIMIT, PATIENCE
from flask_foreign_token.sealing import Seal
from flask_foreign_token.shared_cache import CLAIM, SKEW, SharedCache
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.userinfo import REMEMBERED

from ..apps import ask, registry_of, write_registry
from ..conftest import MakeApp
from ..integration import servers

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "workers.md").read_text(encoding="utf-8")


class FickleStore:
    """A store that fails as long as it is told to."""

    fails = True

    def get(self, key: str) -> object:
        if self.fails:
            raise ConnectionError
        return None


@pytest.fixture
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


def test_the_lines_of_the_log_are_those_that_are_said(caplog: pytest.LogCaptureFixture) -> None:
    (shown,) = re.findall(r"^```text\n(the shared cache fails .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    store, times = FickleStore(), [0.0]
    cache = SharedCache(store, Seal(b"k" * 32), app="clinic", clock=lambda: times[-1])  # type: ignore[arg-type]

    cache.find("keys", "somewhere")
    store.fails = False
    times.append(REST)
    cache.find("keys", "somewhere")

    assert [record.getMessage() for record in caplog.records] == shown.splitlines()


def test_the_seconds_on_the_page_are_those_of_the_code() -> None:
    """Where one of them changes, the page must say so."""
    assert (LIMIT, PATIENCE, REST, SKEW) == (0.25, 1.0, 5.0, 60.0)
    assert (CLAIM, WAIT, SHORT_WAIT, LOOK, YIELD) == (1.0, 5.0, 0.3, 1.0, 300.0)
    assert (REMEMBERED, INACTIVE_TTL, IN_FLIGHT, UNKNOWN_KEY_FETCHES, UNKNOWN_KEY_REFILL) == (60.0, 60.0, 8, 4, 10.0)


def test_the_steps_for_a_leaked_key_have_it_fetched_anew(make_app: MakeApp, redis_url: str, own_issuer: Issuer) -> None:
    app = make_app(
        own_issuer.resources(),
        FOREIGN_TOKEN_REGISTRY_POLL=0,
        FOREIGN_TOKEN_CACHE_URL=redis_url,
        FOREIGN_TOKEN_CACHE_KEY=secrets.token_urlsafe(32),
    )
    ask(app, own_issuer.token())
    fetched = own_issuer.requests["jwks"]

    provider, introspector = own_issuer.resources()
    write_registry(registry_of(app), [provider, {**introspector, "cache_ttl": 299}])
    ask(app, own_issuer.token())

    assert own_issuer.requests["jwks"] == fetched + 1
