"""Keys that come and go, providers that fall over, trust that is taken back: while requests go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from .apps import (
    Resource,
    ask,
    introspector,
    policy,
    registry_of,
    rows,
    secret_token,
    store,
    trusting,
    trusting_a_secret,
    users_in,
    write_registry,
)
from .conftest import MakeApp

# ---- keys


def test_a_withdrawn_key_takes_its_tokens_with_it(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    old = own_issuer.token(sub="ann")
    assert ask(app, old).status_code == 200

    own_issuer.rotate()
    new = ask(app, own_issuer.token(sub="ann"))

    assert (new.status_code, ask(app, old).status_code) == (200, 401)


def test_a_key_that_stays_beside_a_new_one_keeps_its_tokens(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    old = own_issuer.token(sub="ann")
    assert ask(app, old).status_code == 200

    own_issuer.rotate(keep=True)

    assert [ask(app, token).status_code for token in (own_issuer.token(), old)] == [200, 200]


def test_an_unknown_key_is_no_mistake_of_the_caller_while_the_provider_is_down(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app(trusting(own_issuer))
    old = own_issuer.token()
    assert ask(app, old).status_code == 200
    own_issuer.rotate(keep=True)
    new = own_issuer.token()

    with own_issuer.down():
        assert [ask(app, token).status_code for token in (new, old)] == [503, 200]


def test_a_provider_that_is_slow_is_given_up(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer), FOREIGN_TOKEN_HTTP_TIMEOUT=(0.2, 0.2))
    own_issuer.delay = 5
    began = time.monotonic()

    answer = ask(app, own_issuer.token())

    assert answer.status_code == 503
    assert time.monotonic() - began < 2


def test_many_requests_at_a_failing_provider_are_one_call(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))
    tokens = [own_issuer.token(sub=f"user-{number}") for number in range(32)]

    with own_issuer.fail("jwks", 500), ThreadPoolExecutor(32) as pool:
        statuses = set(pool.map(lambda token: ask(app, token).status_code, tokens))

    assert statuses == {503}
    assert own_issuer.requests["jwks"] == 1


def test_a_malformed_token_is_the_callers_mistake_even_while_the_provider_is_down(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app(trusting(own_issuer))

    with own_issuer.down():
        assert [ask(app, token).status_code for token in ("a.b.c", own_issuer.token(iss="x"))] == [401, 401]


# ---- userinfo that is not what it should be


class Lying(Issuer):
    """Says of everybody what it was told to say."""

    def __init__(self, said: Mapping[str, object]) -> None:
        super().__init__()
        self.said = dict(said)

    def userinfo(self, claims: Mapping[str, object]) -> dict[str, object]:
        return self.said


def userinfo_of(issuer: Issuer) -> dict[str, Any]:
    return {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": issuer.userinfo_endpoint}


LIES: dict[str, Mapping[str, object]] = {
    "somebody else": {"sub": "root"},
    "nobody": {"email": "ann@example.com"},
    "null": {"sub": None},
    "a number": {"sub": 7},
    "too much": {"sub": "ann", "photo": "x" * 2_000_000},
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES.keys())
def test_userinfo_about_anybody_else_makes_no_user(make_app: MakeApp, said: Mapping[str, object]) -> None:
    with Lying(said) as issuer:
        app = make_app(trusting(issuer, policy("all"), **userinfo_of(issuer)))

        answer = ask(app, issuer.token(sub="ann"))

    assert answer.status_code in (401, 503)
    assert rows(app, "SELECT value FROM foreign_token_identifier") == []


def test_userinfo_about_the_one_who_asks_makes_that_user(make_app: MakeApp) -> None:
    with Lying({"sub": "ann", "photo": "x"}) as issuer:
        app = make_app(trusting(issuer, policy("all"), **userinfo_of(issuer)))

        assert ask(app, issuer.token(sub="ann")).status_code == 200
    assert users_in(app) == 1


def test_a_userinfo_endpoint_that_was_down_is_asked_again_later_and_nothing_half_made_is_left(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    resources = trusting(own_issuer, policy("all"), **userinfo_of(own_issuer))
    with own_issuer.fail("userinfo", 500):
        down = make_app(resources)
        assert ask(down, own_issuer.token(sub="ann")).status_code == 503
        assert users_in(down) == 0

    assert ask(make_app(resources), own_issuer.token(sub="ann")).status_code == 200


# ---- trust that is taken back

Write = Callable[[Flask, list[Resource]], None]


def by_file(app: Flask, resources: list[Resource]) -> None:
    write_registry(registry_of(app), resources)


@pytest.fixture(params=["file", "database"])
def registry(request: pytest.FixtureRequest, make_app: MakeApp) -> Iterator[tuple[Flask, Write]]:
    """An app that looks at its registry with every request, and how that is written."""
    if request.param == "file":
        yield make_app([], FOREIGN_TOKEN_REGISTRY_POLL=0), by_file
    else:
        yield make_app(FOREIGN_TOKEN_REGISTRY_POLL=0), store


def without_introspector() -> list[Resource]:
    resources = trusting_a_secret()
    resources[1]["active"] = False
    return resources


def another_secret() -> list[Resource]:
    return trusting_a_secret(jwt={"secret": "another secret that is also long enough!"})


def another_audience() -> list[Resource]:
    return trusting_a_secret(jwt={"aud": "elsewhere"})


def another_issuer() -> list[Resource]:
    return trusting_a_secret(jwt={"iss": "https://elsewhere.example"})


def no_leeway() -> list[Resource]:
    return trusting_a_secret(jwt={"leeway": 0})


@pytest.mark.parametrize("changed", [without_introspector, another_secret, another_audience, another_issuer])
def test_tokens_end_with_what_vouched_for_them(
    registry: tuple[Flask, Write], issuer: Issuer, changed: Callable[[], list[Resource]]
) -> None:
    app, write = registry
    token = secret_token(issuer, sub="ann")
    write(app, trusting_a_secret())
    before = [ask(app, token).status_code for _ in range(2)]

    write(app, changed())

    assert (before, ask(app, token).status_code) == ([200, 200], 401)


def test_a_shorter_leeway_counts_for_tokens_that_are_known(registry: tuple[Flask, Write], issuer: Issuer) -> None:
    app, write = registry
    token = secret_token(issuer, exp=time.time() - 10)
    write(app, trusting_a_secret())
    assert ask(app, token).status_code == 200

    write(app, no_leeway())

    assert ask(app, token).status_code == 401


def test_policies_that_are_changed_decide_anew_about_known_tokens(
    registry: tuple[Flask, Write], issuer: Issuer
) -> None:
    app, write = registry
    token = secret_token(issuer, sub="ann")
    seen = []

    for subject in ("ann", "bob", "ann"):
        write(app, trusting_a_secret(policy("one", {"jwt": {"sub": subject}})))
        seen.append(ask(app, token).status_code)

    assert seen == [200, 403, 200]


def test_an_issuer_that_is_added_is_trusted_at_once(registry: tuple[Flask, Write], issuer: Issuer) -> None:
    app, write = registry
    token = secret_token(issuer, iss="https://second.example")
    write(app, trusting_a_secret(policy("all")))
    before = ask(app, token).status_code

    second = introspector(
        "second", None, jwt={"iss": "https://second.example", "secret": "tell-nobody-that-this-is-how-we-sign-texts"}
    )
    write(app, [*trusting_a_secret(policy("all")), second])

    assert (before, ask(app, token).status_code) == (401, 200)


def test_another_system_is_another_user(registry: tuple[Flask, Write], issuer: Issuer) -> None:
    app, write = registry
    token = secret_token(issuer, sub="ann")
    write(app, trusting_a_secret())
    first = ask(app, token, "/me").json["user"]

    write(app, trusting_a_secret(system="hospital"))

    assert ask(app, token, "/me").json["user"] != first


def test_a_registry_is_changed_under_load_without_a_wrong_answer(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all")), FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = secret_token(issuer, sub="ann")
    ask(app, token)

    def change(number: int) -> None:
        by_file(app, trusting_a_secret(policy("all"), *(policy(f"more-{n}", {"uri": f"/{n}"}) for n in range(number))))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, app, token) for _ in range(100)]
        for number in range(10):
            change(number)
        statuses = {future.result().status_code for future in asked}

    assert statuses == {200}


@pytest.mark.parametrize("content", [b"\xff\xfe[]", b"[]\0", None], ids=["no UTF-8", "a NUL", "a folder"])
def test_a_file_that_cannot_be_read_is_503_until_it_can(
    make_app: MakeApp, issuer: Issuer, content: bytes | None
) -> None:
    app = make_app([], FOREIGN_TOKEN_REGISTRY_POLL=0)
    file = registry_of(app)
    file.unlink()
    spoil(file, content)
    before = ask(app, secret_token(issuer)).status_code
    if content is None:
        file.rmdir()

    by_file(app, trusting_a_secret())

    assert (before, ask(app, secret_token(issuer)).status_code) == (503, 200)


def spoil(file: Path, content: bytes | None) -> None:
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
