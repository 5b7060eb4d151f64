"""Links: whom a policy is for."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import require_policy
from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from .apps import Resource, ask, policy, secret_token, store, trusting_a_secret
from .conftest import MakeApp

CLIENT_URL = "https://app.example/metadata.json"


def link(*references: str) -> list[dict[str, str]]:
    return [{"reference": reference} for reference in references]


def linked(make_app: MakeApp, *references: str, matcho: object = None) -> Flask:
    app = make_app(trusting_a_secret(policy("linked", matcho, link=link(*references))))
    app.add_url_rule("/named", "named", require_policy("linked")(lambda: "in"))
    return app


@pytest.mark.parametrize(
    ("references", "claims", "path", "expected"),
    [
        (["Client/web"], {"azp": "web"}, "/patients", 200),
        (["Client/web"], {"azp": "Web"}, "/patients", 403),
        (["Client/web"], {"azp": None, "client_id": "web"}, "/patients", 200),
        (["Client/web"], {"azp": "other", "client_id": "web"}, "/patients", 403),
        (["Client/web"], {"azp": None}, "/patients", 403),
        ([f"Client/{CLIENT_URL}"], {"azp": CLIENT_URL}, "/patients", 200),
        (["Operation/patients"], {}, "/patients", 200),
        (["Operation/patients"], {}, "/me", 403),
        (["Client/web", "Operation/me"], {"azp": "other"}, "/me", 200),
        (["Client/web", "Operation/me"], {"azp": "web"}, "/patients", 200),
        (["Client/web", "Operation/me"], {"azp": "other"}, "/patients", 403),
        (["Client/web"], {"azp": "web"}, "/named", 200),
        (["Client/web"], {"azp": "other"}, "/named", 403),
        (["User/nobody"], {}, "/patients", 403),
    ],
)
def test_a_policy_is_for_those_whom_one_of_its_links_names(
    make_app: MakeApp, issuer: Issuer, references: list[str], claims: dict[str, Any], path: str, expected: int
) -> None:
    app = linked(make_app, *references)

    assert ask(app, secret_token(issuer, **claims), path).status_code == expected


def test_a_link_to_a_user_is_to_the_user_of_this_app_whatever_the_token_calls_them(
    make_app: MakeApp, issuer: Issuer
) -> None:
    app = make_app()
    store(app, trusting_a_secret(policy("all")))
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    key = ask(app, ann, "/me").json["user"]

    def statuses(reference: object) -> tuple[int, ...]:
        app.extensions["foreign_token"].runtime().registry.refresh()
        store(app, [policy("all", link=[reference])])
        return tuple(ask(app, token).status_code for token in (ann, bob, None))

    assert statuses({"reference": f"User/{key}"}) == (200, 403, 401)
    assert statuses({"resourceType": "User", "id": key}) == (200, 403, 401)
    assert statuses({"reference": "User/ann"}) == (403, 403, 401)


def test_the_engine_must_allow_as_well(make_app: MakeApp, issuer: Issuer) -> None:
    app = linked(make_app, "Client/web", matcho={"jwt": {"sub": "ann"}})

    ann, bob = (secret_token(issuer, sub=name, azp="web") for name in ("ann", "bob"))
    assert [ask(app, token).status_code for token in (ann, bob)] == [200, 403]


def test_a_link_to_an_operation_opens_it_to_anonymous_callers_too_where_the_engine_allows(make_app: MakeApp) -> None:
    app = linked(make_app, "Operation/patients")

    assert [ask(app, path=path).status_code for path in ("/patients", "/me")] == [200, 401]


@pytest.mark.parametrize("reference", ["Group/x", "user/x", "Operation/", "patients"])
def test_a_link_to_anything_else_is_refused_when_it_is_saved(make_app: MakeApp, reference: str) -> None:
    app = make_app()
    body: Resource = policy("linked", link=link(reference))

    with pytest.raises(Rejected, match=r"AccessPolicy/linked link\.0"):
        store(app, [body])
