"""Keys of a real Keycloak, rotated as its operators do: a new one is added, the old one made passive, then removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from flask_foreign_token import ForeignToken

from ..apps import ask, bearer, introspector, policy, provider, write_registry
from ..conftest import MakeApp
from . import representations as keycloak
from .forwarding import forwarding
from .keycloak import MakeRealm, Realm
from .load import load
from .real_providers import RealProviders, trusting_keys
from .serving import served
from .test_gunicorn import WSGI
from .waiting import until

CLIENT = "my-client"
OTHER_CLIENT = "my-other-client"


@dataclass(frozen=True, slots=True)
class Rotating:
    """A realm whose RS256 key is rotated; its ES256 key stays."""

    realm: Realm

    def token(self, client: str = CLIENT) -> str:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": keycloak.secret_of(client)}
        response = self.realm.token(**form)
        response.raise_for_status()
        return str(response.json()["access_token"])

    def add_key(self, name: str, priority: int) -> None:
        """Add one that signs from now on, if its priority is the highest."""
        realm: Any = self.realm.admin("GET", "")
        key = keycloak.a_key("RS256", name=name, priority=priority)
        self.realm.admin("POST", "/components", {**key, "providerType": keycloak.KEY_PROVIDER, "parentId": realm["id"]})

    def make_passive(self, name: str) -> None:
        """Let a key sign no more; it is published as before."""
        key = self._key(name)
        key["config"]["active"] = ["false"]
        self.realm.admin("PUT", f"/components/{key['id']}", key)

    def remove_key(self, name: str) -> None:
        """Remove a key; it is published no more."""
        self.realm.admin("DELETE", f"/components/{self._key(name)['id']}")

    def trusted_at(self, jwks_uri: str) -> list[dict[str, Any]]:
        jwt = {"iss": self.realm.issuer, "aud": keycloak.AUDIENCE}
        return [
            provider(),
            introspector("keycloak-jwt", jwt=jwt, jwks_uri=jwks_uri),
            policy("known-issuer", {"jwt": {"iss": self.realm.issuer}}),
        ]

    def _key(self, name: str) -> Any:
        keys: Any = self.realm.admin("GET", f"/components?type={keycloak.KEY_PROVIDER}&name={name}")
        return keys[0]


CERTS = "/protocol/openid-connect/certs"


@pytest.fixture
def rotating(make_realm: MakeRealm) -> Rotating:
    keys = [keycloak.a_key("RS256", name="first"), *map(keycloak.a_key, ("ES256", "HS512", "AES"))]
    clients = [
        keycloak.a_client(CLIENT),
        keycloak.a_client(OTHER_CLIENT, access_token_signed_response_alg="ES256"),
    ]
    return Rotating(make_realm({"components": {keycloak.KEY_PROVIDER: keys}, "clients": clients}))


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_no_valid_token_is_refused_and_each_worker_fetches_the_keys_twice_at_most(
    tmp_path: Path, rotating: Rotating, workers: int
) -> None:
    (tmp_path / "wsgi.py").write_text(WSGI)
    arguments = f"--workers {workers} --worker-class gthread --threads 4".split()

    with (
        forwarding(rotating.realm.url) as keys,
        served(tmp_path, *arguments, FOREIGN_TOKEN_REGISTRY="registry.json") as address,
    ):
        write_registry(tmp_path / "registry.json", rotating.trusted_at(keys.origin + CERTS))

        def ask_with_a_fresh_token() -> tuple[int, object]:
            answer = requests.get(f"{address}/me", headers=bearer(rotating.token()), timeout=30)
            return answer.status_code, answer.json().get("pid")

        with load(ask_with_a_fresh_token) as answers:
            until_each_worker_has_answered(workers, answers)
            rotating.add_key("second", priority=200)
            until_each_worker_has_answered(workers, answers)
            rotating.make_passive("first")
            until_each_worker_has_answered(workers, answers)
            rotating.remove_key("first")
            until_each_worker_has_answered(workers, answers)

    assert {status for status, _ in answers} == {200}
    assert workers <= len(keys.requests) <= 2 * workers


def until_each_worker_has_answered(workers: int, answers: list[tuple[int, object]]) -> None:
    """Wait for answers to tokens that were fetched from now on; those under way may be older."""
    begun = len(answers) + 8

    def who_has() -> set[object]:
        return {pid for _, pid in answers[begun:]}

    until(lambda pids: len(pids) == workers, who_has, within=30)


def test_what_was_let_in_under_a_key_that_is_removed_is_refused_from_the_next_fetch_on_and_nothing_else(
    make_app: MakeApp, rotating: Rotating
) -> None:
    app = make_app(rotating.trusted_at(rotating.realm.url + CERTS))
    under_the_old_key, under_the_key_that_stays = rotating.token(), rotating.token(OTHER_CLIENT)

    def statuses() -> list[int]:
        return [ask(app, token).status_code for token in (under_the_old_key, under_the_key_that_stays)]

    assert statuses() == [200, 200]

    rotating.add_key("second", priority=200)
    rotating.remove_key("first")
    assert statuses() == [200, 200]
    assert ask(app, rotating.token()).status_code == 200

    assert statuses() == [401, 200]


def test_keys_that_cannot_serve_are_left_out_one_by_one_and_shown(
    real_providers: RealProviders, make_app: MakeApp
) -> None:
    extension = ForeignToken()
    app = make_app(trusting_keys(real_providers["keycloak"]), extension)
    assert ask(app, real_providers["keycloak"].issue("RS256")).status_code == 200

    (state,) = extension.key_sources(app)

    assert {key.algorithm for key in state.keys} == {"RS256", "RS512", "PS256", "ES256", "ES384", "Ed25519"}
    assert sorted(key.reason for key in state.skipped) == ["alg does not fit the kind of key", "use is not sig"]
