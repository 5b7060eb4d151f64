"""Policies: what they see, whom they let in, where they are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from .apps import (
    SECRET,
    SECRET_ISSUER,
    Resource,
    add_views,
    ask,
    introspector,
    key_of,
    policy,
    provider,
    secret_token,
    store,
    trusting,
    trusting_a_secret,
)
from .challenges import body
from .conftest import MakeApp

# ---- no policy, some policies


def test_without_a_policy_everything_is_refused(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret()[:2])

    assert ask(app, secret_token(issuer)).status_code == 403
    assert ask(app).status_code == 401


def test_the_engine_allow_lets_even_anonymous_callers_in(make_app: MakeApp) -> None:
    app = make_app([policy("all")])

    assert ask(app).json == {"subject": None}


def test_one_policy_that_allows_is_enough(make_app: MakeApp, issuer: Issuer) -> None:
    never, ours = policy("a-never", {"jwt": {"iss": "x"}}), policy("z-ours", {"jwt": {"sub": "ann"}})
    app = make_app(trusting_a_secret(never, ours))

    assert ask(app, secret_token(issuer, sub="ann")).status_code == 200
    assert ask(app, secret_token(issuer, sub="bob")).status_code == 403


def test_an_inactive_policy_allows_nothing(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("off", active=False), policy("bob", {"jwt": {"sub": "bob"}})))

    assert ask(app, secret_token(issuer, sub="ann")).status_code == 403
    assert ask(app, secret_token(issuer, sub="bob")).status_code == 200


# ---- what a policy sees

SEEN = [
    ("the method in lower case", {"request-method": "post"}),
    ("the scheme", {"scheme": "http"}),
    ("the path", {"uri": "/things/7"}),
    ("the query", {"query-string": "page=2&tag=a&tag=b&number=9"}),
    ("a query parameter as text", {"params": {"page": "2"}}),
    ("a repeated one as a list", {"params": {"tag": ["a", "b"]}}),
    ("route arguments, which win", {"params": {"number": {"$one-of": [7, "7"]}}}),
    ("headers in lower case", {"headers": {"x-purpose": "care"}}),
    ("no credentials", {"headers": {"authorization": "nil?", "cookie": "nil?"}}),
    ("the address of the caller", {"remote-addr": "192.0.2.7"}),
    ("the body", {"body": {"name": [{"family": "Ng"}]}}),
    ("the body as resource", {"resource": {"name": [{"family": "Ng"}]}}),
    ("the endpoint", {"operation": {"id": "change"}}),
    (
        "the claims",
        {"jwt": {"sub": "ann", "azp": "my-client", "realm_access": {"roles": {"$contains": "offline_access"}}}},
    ),
    ("the user", {"user": {"identifier": [{"value": "ann"}]}}),
    ("the client", {"client": {"id": "my-client"}}),
    ("what is missing as missing", {"session": "nil?", "role": "nil?", "token": "nil?"}),
    ("a value equal to another of the request", {"jwt": {"sub": ".params.owner", "azp": ".client.id"}}),
]


@pytest.mark.parametrize("pattern", [row[1] for row in SEEN], ids=[row[0] for row in SEEN])
def test_a_policy_sees(make_app: MakeApp, issuer: Issuer, pattern: dict[str, Any]) -> None:
    app = make_app(trusting_a_secret(policy("seen", pattern)))

    @app.post("/things/<int:number>", endpoint="change")
    @require_policy
    def change(number: int) -> str:
        return "changed"

    query = "page=2&tag=a&tag=b&number=9" + ("&owner=ann" if "owner" in str(pattern) else "")
    answer = ask(
        app,
        secret_token(issuer, sub="ann"),
        f"/things/7?{query}",
        "POST",
        json={"name": [{"family": "Ng"}]},
        headers={"X-Purpose": "care", "Cookie": "a=b"},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )

    assert answer.status_code == 200


NOT_MATCHING = [
    {"request-method": "POST"},
    {"request-method": "get"},
    {"params": {"page": 2}},
    {"params": {"owner": ".params.nobody"}},
    {"session": {"id": "present?"}},
    {"user": {"id": "nil?"}},
    {"jwt": {"sub": "bob"}},
    {"headers": {"authorization": "present?"}},
]


@pytest.mark.parametrize("pattern", NOT_MATCHING, ids=str)
def test_a_policy_that_does_not_match_refuses(make_app: MakeApp, issuer: Issuer, pattern: dict[str, Any]) -> None:
    app = make_app(trusting_a_secret(policy("never", pattern)))
    app.post("/things", endpoint="change")(require_policy(lambda: "changed"))

    assert ask(app, secret_token(issuer, sub="ann"), "/things?page=2", "POST").status_code == 403


def test_a_body_that_is_not_json_is_missing_and_no_error(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("body", {"body": {"a": 1}}), policy("bob", {"jwt": {"sub": "bob"}})))
    app.post("/things", endpoint="change")(require_policy(lambda: "changed"))
    broken = {"data": b"{not json", "content_type": "application/json"}

    assert ask(app, secret_token(issuer, sub="ann"), "/things", "POST", **broken).status_code == 403
    assert ask(app, secret_token(issuer, sub="bob"), "/things", "POST", **broken).status_code == 200


def test_forwarded_headers_change_nothing(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(
        trusting_a_secret(policy("here", {"uri": "/patients", "scheme": "http", "remote-addr": "127.0.0.1"}))
    )
    headers = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/x",
        "Forwarded": "for=x",
    }

    assert ask(app, secret_token(issuer), headers=headers).status_code == 200


# ---- links


def links(*references: object) -> list[object]:
    return [{"reference": reference} if isinstance(reference, str) else reference for reference in references]


LINKS = [
    (links("Client/my-client"), 200),
    (links("Client/other"), 403),
    (links("Operation/patients"), 200),
    (links("Operation/me"), 403),
    (links("Client/other", "Operation/patients"), 200),
    (links({"resourceType": "Client", "id": "my-client"}), 200),
    (links({"resourceType": "Client", "id": "other"}), 403),
]


@pytest.mark.parametrize(("link", "status"), LINKS, ids=[str(row[0]) for row in LINKS])
def test_links_narrow_a_policy_and_are_alternatives(
    make_app: MakeApp, issuer: Issuer, link: list[object], status: int
) -> None:
    app = make_app(trusting_a_secret(policy("linked", link=link)))

    assert ask(app, secret_token(issuer, azp="my-client")).status_code == status


def test_a_link_to_a_user_lets_that_user_in_and_no_other(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(FOREIGN_TOKEN_REGISTRY_POLL=0)
    store(app, trusting_a_secret(policy("people")))
    ann = ask(app, secret_token(issuer, sub="ann"), "/me").json["user"]

    store(app, [policy("people", link=links(f"User/{ann}"))])

    assert ask(app, secret_token(issuer, sub="ann")).status_code == 200
    assert ask(app, secret_token(issuer, sub="bob")).status_code == 403


# ---- what a view asks for


def conditional_app(make_app: MakeApp, *policies: Resource) -> Flask:
    app = make_app(trusting_a_secret(*policies))
    conditions = {
        "/named": require_policy("readers"),
        "/either": require_policy("readers", "writers"),
        "/scope": require_policy(scope="patient.read"),
        "/scopes": require_policy(scope="patient.read patient.write"),
        "/both": require_policy("readers", scope="patient.read"),
        "/unknown": require_policy("nobody-stored-this"),
        "/bare-call": require_policy(),
    }
    for path, guard in conditions.items():
        app.add_url_rule(path, path.strip("/"), guard(lambda: "in"))
    return app


READERS = policy("readers", {"jwt": {"role": "reader"}})
WRITERS = policy("writers", {"jwt": {"role": "writer"}})
ANYBODY = policy("anybody", {"jwt": "present?"})
CONDITIONS: list[tuple[str, dict[str, str], int]] = [
    ("/named", {"role": "reader"}, 200),
    ("/named", {"role": "writer"}, 403),
    ("/either", {"role": "writer"}, 200),
    ("/either", {"role": "guest"}, 403),
    ("/scope", {"scope": "openid patient.read"}, 200),
    ("/scope", {"scope": "openid"}, 403),
    ("/scope", {"scope": "patient.reader"}, 403),
    ("/scopes", {"scope": "patient.read patient.write"}, 200),
    ("/scopes", {"scope": "patient.read"}, 403),
    ("/both", {"role": "reader", "scope": "patient.read"}, 200),
    ("/both", {"role": "writer", "scope": "patient.read"}, 403),
    ("/both", {"role": "reader", "scope": "openid"}, 403),
    ("/unknown", {"role": "reader"}, 403),
    ("/bare-call", {"role": "guest"}, 200),
]


@pytest.mark.parametrize(("path", "claims", "status"), CONDITIONS)
def test_a_view_names_its_conditions(
    make_app: MakeApp, issuer: Issuer, path: str, claims: dict[str, str], status: int
) -> None:
    app = conditional_app(make_app, READERS, WRITERS, ANYBODY)

    assert ask(app, secret_token(issuer, **claims), path).status_code == status


def test_a_scope_does_not_open_what_no_policy_allows(make_app: MakeApp, issuer: Issuer) -> None:
    app = conditional_app(make_app, READERS)

    answer = ask(app, secret_token(issuer, role="guest", scope="patient.read"), "/scope")

    assert (answer.status_code, body(answer)) == (403, {"error": "access_denied"})


def test_a_scope_is_asked_of_anonymous_callers_too(make_app: MakeApp) -> None:
    app = conditional_app(make_app, policy("all"))

    assert ask(app, path="/bare-call").status_code == 200
    assert ask(app, path="/scope").status_code in (401, 403)


def test_links_of_a_named_policy_still_bind(make_app: MakeApp, issuer: Issuer) -> None:
    app = conditional_app(make_app, policy("readers", link=links("Client/trusted")))

    assert ask(app, secret_token(issuer, azp="trusted"), "/named").status_code == 200
    assert ask(app, secret_token(issuer, azp="other"), "/named").status_code == 403


@pytest.mark.parametrize("claims", [{"scp": "patient.read"}, {"scp": ["openid", "patient.read"]}])
def test_scopes_may_stand_in_scp(make_app: MakeApp, issuer: Issuer, claims: dict[str, Any]) -> None:
    app = conditional_app(make_app, policy("all"))

    assert ask(app, secret_token(issuer, scope=None, **claims), "/scope").status_code == 200


# ---- where resources are kept


def test_the_database_registry_is_read_and_what_is_written_counts_at_once(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = secret_token(issuer, sub="ann")

    seen = [ask(app, token).status_code]
    store(app, trusting_a_secret(policy("bob", {"jwt": {"sub": "bob"}})))
    seen.append(ask(app, token).status_code)
    store(app, [policy("ann", {"jwt": {"sub": "ann"}})])
    seen.append(ask(app, token).status_code)

    assert seen == [401, 403, 200]


def test_the_file_is_relative_to_the_root_of_the_app(bare_app: MakeApp, issuer: Issuer) -> None:
    app = bare_app(FOREIGN_TOKEN_REGISTRY="conf/trust.json")
    folder = Path(app.root_path) / "conf"
    folder.mkdir()
    (folder / "trust.json").write_text(json.dumps(trusting_a_secret()))
    ForeignToken(app)
    add_views(app)

    assert ask(app, secret_token(issuer)).status_code == 200


def test_the_file_takes_names_from_the_environment(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_ISSUER_HOST", "secret.example")
    monkeypatch.delenv("CLINIC_SYSTEM", raising=False)
    resources = [
        provider(system="${CLINIC_SYSTEM:-fallback}"),
        introspector("secret", jwt={"iss": "https://${CLINIC_ISSUER_HOST}", "secret": SECRET}),
        policy("all", {"user": {"identifier": [{"system": "fallback"}]}}),
    ]

    assert ask(make_app(resources), secret_token(issuer, iss=SECRET_ISSUER)).status_code == 200


def test_policies_take_nothing_from_the_environment(
    make_app: MakeApp, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_SUBJECT", "ann")
    app = make_app(trusting_a_secret(policy("literal", {"jwt": {"sub": "${CLINIC_SUBJECT}"}})))

    assert ask(app, secret_token(issuer, sub="ann")).status_code == 403
    assert ask(app, secret_token(issuer, sub="${CLINIC_SUBJECT}")).status_code == 200


def test_two_issuers_are_told_apart(make_app: MakeApp, issuer: Issuer) -> None:
    resources = [
        *trusting_a_secret(policy("ours", {"jwt": {"iss": issuer.issuer}})),
        *trusting(issuer, name="second")[:2],
    ]
    app = make_app(resources)

    assert ask(app, issuer.token()).status_code == 200
    assert ask(app, secret_token(issuer)).status_code == 403
    assert ask(app, secret_token(issuer, iss=issuer.issuer)).status_code == 401


def test_a_user_keeps_their_key_for_policies_and_views_alike(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("own", {"user": {"id": ".params.key"}})))

    @app.get("/people/<key>")
    @require_policy
    def person(key: str) -> dict[str, object]:
        return {"key": key_of(g.user)}

    token = secret_token(issuer, sub="ann")
    own = ask(app, token, "/open").json["user"]

    assert ask(app, token, f"/people/{own}").json == {"key": own}
    assert ask(app, token, "/people/another").status_code == 403
