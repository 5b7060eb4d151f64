"""What a real Keycloak says of a person, while that changes there."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token import ForeignToken, require_policy

from ..apps import ask, introspector, policy, provider, store
from ..conftest import MakeApp
from . import representations
from .keycloak import MakeRealm, Realm

AUDIENCE = representations.AUDIENCE
ROLES_IN_USERINFO = {
    "name": "realm roles in userinfo",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-usermodel-realm-role-mapper",
    "config": {
        "claim.name": "realm_access.roles",
        "multivalued": "true",
        "userinfo.token.claim": "true",
        "access.token.claim": "false",
        "id.token.claim": "false",
    },
}


@pytest.fixture(scope="module")
def realm(make_realm: MakeRealm) -> Realm:
    client = representations.a_client("ward-app")
    client["protocolMappers"] = [*client.get("protocolMappers", []), ROLES_IN_USERINFO]
    return make_realm(
        {
            "clients": [client],
            "roles": {"realm": [{"name": "nurse"}, {"name": "doctor"}]},
            "users": [{**representations.a_person("ann"), "realmRoles": ["nurse"], "emailVerified": True}],
        }
    )


def sign_in(realm: Realm) -> str:
    form = {
        "grant_type": "password",
        "client_id": "ward-app",
        "client_secret": representations.secret_of("ward-app"),
        "username": "ann",
        "password": "password-of-ann",
        "scope": "openid email",
    }
    return str(realm.token(**form).json()["access_token"])


@pytest.fixture
def app(bare_app: MakeApp, realm: Realm) -> Flask:
    """An app with a model of its own, whose column `email` the provider fills; what is older than a second is old."""
    app = bare_app(SQLALCHEMY_DATABASE_URI="sqlite:///ward.sqlite", FOREIGN_TOKEN_USER_TTL=1)
    db = SQLAlchemy(app)

    class Person(db.Model):  # type: ignore[name-defined,misc]
        id = sa.Column(sa.Integer, primary_key=True)
        email = sa.Column(sa.String(100), nullable=False)

    ForeignToken(app, db=db, user_class=Person, user_attributes=["email"])
    with app.app_context():
        db.create_all()

    @app.get("/me")
    @require_policy
    def me() -> dict[str, Any]:
        return {"id": g.user.id, "email": g.user.email}

    below = f"{realm.url}/protocol/openid-connect"
    rules = {"email": ["email"], "realm_access.roles": ["roles"]}
    store(
        app,
        [
            provider(
                **{"userinfo-source": "userinfo-endpoint"},
                userinfo_endpoint=f"{below}/userinfo",
                userinfo_refresh=0,
                toScim=rules,
            ),
            introspector("keycloak-jwt", jwt={"iss": realm.issuer, "aud": AUDIENCE}, jwks_uri=f"{below}/certs"),
            policy("nurses", {"user": "present?"}, roleName="nurse"),
        ],
    )
    return app


def stored(app: Flask) -> dict[str, Any]:
    """The only user, as an operator sees them."""
    with app.app_context():
        [user] = app.extensions["foreign_token"].runtime().accounts.search().users
    return dict(user.resource)


def test_what_changes_at_the_provider_is_there_with_the_next_new_token(app: Flask, realm: Realm) -> None:
    assert ask(app, sign_in(realm), "/me").json == {"id": 1, "email": "ann@example.com"}
    first = stored(app)
    assert "nurse" in first["roles"]

    unchanged = ask(app, sign_in(realm), "/me")
    assert unchanged.status_code == 200
    assert stored(app) == first

    (ann,) = realm.admin("GET", "/users?username=ann")
    (nurse,) = [role for role in realm.admin("GET", "/roles") if role["name"] == "nurse"]
    try:
        realm.admin("PUT", f"/users/{ann['id']}", {**ann, "email": "ann.lovelace@example.com"})
        assert ask(app, sign_in(realm), "/me").json == {"id": 1, "email": "ann.lovelace@example.com"}
        assert stored(app)["meta"]["versionId"] == "2"

        realm.admin("DELETE", f"/users/{ann['id']}/role-mappings/realm", [nurse])
        assert ask(app, sign_in(realm), "/me").status_code == 403
        assert "roles" not in stored(app)
        assert stored(app)["meta"]["versionId"] == "3"
    finally:
        realm.admin("POST", f"/users/{ann['id']}/role-mappings/realm", [nurse])
        realm.admin("PUT", f"/users/{ann['id']}", ann)


def test_a_new_token_of_a_session_that_was_ended_is_refused_and_the_user_stays(app: Flask, realm: Realm) -> None:
    assert ask(app, sign_in(realm), "/me").status_code == 200
    before = stored(app)
    token = sign_in(realm)
    (ann,) = realm.admin("GET", "/users?username=ann")
    realm.admin("POST", f"/users/{ann['id']}/logout")

    answer = ask(app, token, "/me")

    assert (answer.status_code, answer.json["error_description"]) == (401, "the provider does not take the token")
    assert stored(app) == before
