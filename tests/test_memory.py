"""What is remembered takes little, and who is refused leaves nothing behind. Bytes are counted, and no time."""

from __future__ import annotations

import gc
import tracemalloc

from flask import Flask

from flask_foreign_token.interning import texts
from flask_foreign_token.runtime import Runtime
from flask_foreign_token.testing import Issuer
from flask_foreign_token.users.snapshot import UserSnapshot

from .apps import ask, introspector, policy, trusting
from .conftest import MakeApp

TOKENS = 300

KIB = 1024


def token_of(issuer: Issuer, number: int) -> str:
    """What Keycloak issues to one of many people."""
    return issuer.token(
        sub=f"{number:08}-0d4b-4f0a-9b3a-3f1c0b7e2d11",
        sid=f"{number:08}-7b7b-4a53-9d34-0a2f6a3c9f52",
        aud=["account", "my-client"],
        scope="openid profile email",
        email_verified=True,
        name=f"Ann Miller {number}",
        preferred_username=f"ann{number}",
        given_name="Ann",
        family_name=f"Miller {number}",
        email=f"ann{number}@example.com",
        **{"allowed-origins": ["http://localhost:5000"]},
    )


def bytes_in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def runtime_of(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["foreign_token"].runtime()
    return runtime


def test_a_cached_token_takes_at_most_4_kib(issuer: Issuer, make_app: MakeApp) -> None:
    app = make_app(
        [
            introspector("keycloak", None, jwt={"iss": issuer.issuer}, jwks_uri=issuer.jwks_uri),
            policy("known-issuer", {"jwt": {"iss": issuer.issuer}}),
        ]
    )
    tokens = [token_of(issuer, number) for number in range(TOKENS)]
    assert ask(app, token_of(issuer, -1)).status_code == 200

    tracemalloc.start()
    try:
        at_first = bytes_in_use()
        assert {ask(app, token).status_code for token in tokens} == {200}
        weight = bytes_in_use() - at_first
    finally:
        tracemalloc.stop()

    assert runtime_of(app).cached() == {"tokens": TOKENS + 1, "users": 0}
    assert weight / TOKENS <= 4 * KIB


def test_remembered_users_have_in_common_what_they_are_called_by(issuer: Issuer, make_app: MakeApp) -> None:
    app = make_app(trusting(issuer))
    texts._kept.clear()

    first, second = (user_of(app, token_of(issuer, number)) for number in (1, 2))

    assert first.key != second.key
    assert [id(name) for name in first.resource] == [id(name) for name in second.resource]
    assert data_of(first)["scope"] is data_of(second)["scope"]
    assert data_of(first)["realm_access"] == data_of(second)["realm_access"]
    assert data_of(first)["realm_access"] is not data_of(second)["realm_access"]


def test_what_a_refused_token_says_is_not_kept(issuer: Issuer, make_app: MakeApp) -> None:
    app = make_app(trusting(issuer))
    assert ask(app, issuer.token(made_of_trust="kept for the next")).status_code == 200
    forged = issuer.token(made_up="by a stranger", roles=["made-up-role"]).rpartition(".")[0] + ".AAAA"

    refused = [ask(app, token) for token in (forged, issuer.token(another="claim", lifetime=-600))]

    assert [answer.status_code for answer in refused] == [401, 401]
    assert [texts.find(text) is not None for text in ("made_of_trust", "kept for the next")] == [True, True]
    assert [texts.find(text) for text in ("made_up", "by a stranger", "made-up-role", "another", "claim")] == [None] * 5


def user_of(app: Flask, token: str) -> UserSnapshot:
    """The user as it is read from the database once more."""
    assert ask(app, token).status_code == 200
    me = ask(app, token, "/me").json
    assert me is not None
    return runtime_of(app).users.snapshot_of(me["user"])


def data_of(user: UserSnapshot) -> dict[str, object]:
    data = user.resource["data"]
    assert isinstance(data, dict)
    return data
