from __future__ import annotations

import json
from typing import Any

import pytest
from marshmallow import Schema, fields

from flask_foreign_token.registry.fields import MASK, Secret
from flask_foreign_token.registry.schemas import SCHEMAS
from flask_foreign_token.registry.secrets import masked, restored

from .bodies import introspector, policy, provider
from .masking import BOUND, examples, key, refused, with_client, with_keys

NONE_STORED = "is the mask that stands for a secret, and none is stored"


def bound_in(schema: Schema) -> set[str]:
    """What the secrets of `schema` are bound to."""
    found: set[str] = set()
    for field in schema.fields.values():
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, Secret):
            found |= set(inner.bound_to)
        if isinstance(inner, fields.Nested):
            found |= bound_in(inner.schema)
    return found


@pytest.mark.parametrize("type_", SCHEMAS)
def test_every_secret_of_every_schema_is_masked_and_nothing_else(type_: str) -> None:
    body = examples(SCHEMAS[type_], "hush") | {"resourceType": type_}

    assert masked(body) == json.loads(json.dumps(body).replace("hush", MASK))


@pytest.mark.parametrize("type_", SCHEMAS)
def test_what_was_masked_is_restored(type_: str) -> None:
    body = examples(SCHEMAS[type_], "hush") | {"resourceType": type_}

    assert restored(masked(body), body) == body


def with_endpoint(url: str = "https://idp.example/introspect", **members: object) -> dict[str, object]:
    return {
        "resourceType": "TokenIntrospector",
        "id": "o",
        "type": "opaque",
        "introspection_endpoint": {"url": url, **members},
    }


def test_the_secrets_are_those_of_clients_of_the_jwt_settings_and_of_the_introspection_endpoint() -> None:
    assert masked(with_client(secret="hush"))["client"] == {"id": "app", "secret": MASK}
    assert masked(introspector(jwt={"iss": "i", "secret": "hush"}))["jwt"] == {"iss": "i", "secret": MASK}
    assert masked(with_keys(key("hush")))["jwt"] == {"iss": "i", "keys": [key(MASK)]}
    assert masked(with_endpoint(authorization="hush")) == with_endpoint(authorization=MASK)
    assert masked(with_endpoint(client_id="c", client_secret="hush")) == with_endpoint(
        client_id="c", client_secret=MASK
    )


def test_masking_leaves_the_body_as_it_is() -> None:
    body = with_client(secret="hush")

    masked(body)

    assert body == with_client(secret="hush")


@pytest.mark.parametrize("name", BOUND)
@pytest.mark.parametrize("value", ["https://evil.example", None])
def test_a_mask_stands_for_no_secret_that_would_be_sent_elsewhere(name: str, value: str | None) -> None:
    stored = with_client(secret="hush") | BOUND
    body = stored | {name: value, "client": {"id": "app", "secret": MASK}}
    if value is None:
        del body[name]

    [(path, reason)] = refused(body, stored)

    assert (path, f"must be written again, since {name} changed" in reason) == ("client.secret", True)
    assert restored(body | {"client": {"id": "app", "secret": "new"}}, stored)["client"] == {
        "id": "app",
        "secret": "new",
    }


def test_an_endpoint_that_was_not_there_is_elsewhere_too() -> None:
    body = with_client(secret=MASK) | BOUND

    [(_, reason)] = refused(body, with_client(secret="hush"))

    assert "issuer, token_endpoint, introspection_endpoint, revocation_endpoint changed" in reason


def test_a_mask_does_not_stand_for_the_secret_of_another_client() -> None:
    body = provider(client={"id": "other", "secret": MASK})

    [(path, reason)] = refused(body, with_client(secret="hush"))

    assert (path, "since client.id changed" in reason) == ("client.secret", True)


@pytest.mark.parametrize(("before", "after"), [(None, "client_secret_post"), ("client_secret_post", None)])
def test_a_mask_stands_for_no_secret_that_would_be_sent_in_another_way(before: str | None, after: str | None) -> None:
    def client(method: str | None) -> dict[str, object]:
        body = {"id": "app", "secret": "hush", "auth-method": method}
        return provider(client={name: value for name, value in body.items() if value is not None})

    def asked(method: str | None) -> dict[str, object]:
        chosen = {} if method is None else {"auth_method": method}
        return with_endpoint(client_id="c", client_secret="hush", **chosen)

    for write, path, method in (
        (client, "client.secret", "client.auth-method"),
        (asked, "introspection_endpoint.client_secret", "introspection_endpoint.auth_method"),
    ):
        [(refused_at, reason)] = refused(masked(write(after)), write(before))

        assert (refused_at, f"since {method} changed" in reason) == (path, True)
        assert restored(masked(write(before)), write(before)) == write(before)


@pytest.mark.parametrize("secret", [{"authorization": "hush"}, {"client_id": "c", "client_secret": "hush"}])
def test_a_mask_stands_for_no_secret_of_another_introspection_endpoint(secret: dict[str, object]) -> None:
    body = masked(with_endpoint("https://evil.example/introspect", **secret))

    [(path, reason)] = refused(body, with_endpoint(**secret))

    assert path == f"introspection_endpoint.{[*secret][-1]}"
    assert "since introspection_endpoint.url changed" in reason


def test_a_mask_does_not_stand_for_the_secret_of_another_client_of_the_introspection_endpoint() -> None:
    body = with_endpoint(client_id="other", client_secret=MASK)

    [(path, reason)] = refused(body, with_endpoint(client_id="c", client_secret="hush"))

    assert (path, "since introspection_endpoint.client_id changed" in reason) == (
        "introspection_endpoint.client_secret",
        True,
    )


def test_a_mask_stands_for_the_secret_of_the_introspection_endpoint_while_the_rest_changes() -> None:
    stored = with_endpoint(client_id="c", client_secret="hush")
    body = masked(stored) | {"cache_ttl": 5, "token_prefix": "at_"}

    assert restored(body, stored) == stored | {"cache_ttl": 5, "token_prefix": "at_"}


def test_a_mask_stays_a_secret_while_anything_else_changes() -> None:
    stored = with_client(secret="hush") | BOUND
    elsewhere = {"title": "New", "userinfo_endpoint": "https://other.example", "jwks_uri": "https://other.example/k"}

    kept = restored(stored | elsewhere | {"client": {"id": "app", "secret": MASK, "redirect_uri": "https://x"}}, stored)

    assert kept["client"] == {"id": "app", "secret": "hush", "redirect_uri": "https://x"}


@pytest.mark.parametrize("type_", SCHEMAS)
def test_what_secrets_are_bound_to_is_in_the_schemas(type_: str) -> None:
    body = examples(SCHEMAS[type_], "hush") | {"resourceType": type_}

    for path in bound_in(SCHEMAS[type_]):
        value: Any = body
        for name in path.split("."):
            value = value[name]
        assert value == "shown"


@pytest.mark.parametrize(
    "secret",
    [
        None,
        5,
        "",
        ["hush"],
        {},
        {"hush": None},
        {"env": "hush!"},
        {"file": "hush"},
        {"env": ["hush"]},
        {"env": {"env": "HUSH"}},
        {"env": "HUSH", "file": "/run/secrets/hush"},
        {"env": "HUSH", "hush": 1},
        {"file": "/run/secrets/a\0b"},
    ],
    ids=repr,
)
def test_a_secret_that_is_neither_text_nor_a_reference_is_masked_too(secret: object) -> None:
    assert masked(with_client(secret=secret)) == with_client(secret=MASK)
    assert restored(with_client(secret=MASK), with_client(secret=secret)) == with_client(secret=secret)


@pytest.mark.parametrize("jwt", ["hush", ["hush"], 5, None])
def test_what_stands_where_an_object_with_secrets_belongs_is_masked(jwt: object) -> None:
    assert masked(introspector(jwt=jwt))["jwt"] == MASK


@pytest.mark.parametrize("keys", ["hush", {"k": "hush"}, None])
def test_what_stands_where_a_list_of_secrets_belongs_is_masked(keys: object) -> None:
    assert masked(introspector(jwt={"keys": keys}))["jwt"] == {"keys": MASK}


def test_an_attribute_that_is_not_known_beside_a_secret_is_masked() -> None:
    body = provider(client={"sceret": "hush"}, password="hush")

    assert masked(body) == provider(client={"sceret": MASK}, password=MASK)


def test_a_type_without_secrets_is_shown_as_it_is() -> None:
    body = policy(description=MASK, matcho={"secret": MASK}, extra="x")

    assert masked(body) == body
    assert restored(body, None) == body


@pytest.mark.parametrize("type_", ["User", "", None, 5, [], {}])
def test_of_a_type_that_is_not_known_only_the_names_are_shown(type_: object) -> None:
    body = {"resourceType": type_, "id": "x", "secret": "hush", "client": {"secret": "hush"}}

    assert masked(body) == {"resourceType": type_, "id": "x", "secret": MASK, "client": MASK}
    assert restored(masked(body), body) == body


def test_a_mask_keeps_the_stored_secret_and_a_new_secret_replaces_it() -> None:
    stored = with_client(secret="old")

    assert restored(with_client(secret=MASK, redirect_uri="x"), stored) == with_client(secret="old", redirect_uri="x")
    assert restored(with_client(secret="new"), stored) == with_client(secret="new")
    assert restored(with_client(), stored) == with_client()


@pytest.mark.parametrize("stored", [None, 5, [], "x", {}, {"client": 5}, provider(), with_client()])
def test_a_mask_with_nothing_stored_behind_it_is_refused(stored: object) -> None:
    assert refused(with_client(secret=MASK), stored) == [("client.secret", NONE_STORED)]


def test_a_mask_in_place_of_a_whole_object_is_refused() -> None:
    assert refused(provider(client=MASK), with_client(secret="old")) == [("client", NONE_STORED)]


def test_every_mask_without_a_secret_is_named() -> None:
    body = introspector(jwt={"iss": "i", "secret": MASK, "keys": [key(MASK), key("new"), key(MASK)]})

    assert [path for path, _ in refused(body, {})] == ["jwt.secret", "jwt.keys.0.k", "jwt.keys.2.k"]


def test_the_masks_of_a_list_keep_the_secrets_at_their_positions() -> None:
    stored = with_keys(key("first"), key("second"))

    assert restored(with_keys(key(MASK), key(MASK)), stored) == stored
    assert restored(with_keys(key(MASK), key("new")), stored) == with_keys(key("first"), key("new"))
    assert restored(with_keys(key(MASK)), stored) == with_keys(key("first"))


@pytest.mark.parametrize("item", [key(MASK, alg="HS512"), key(MASK, format="plain"), {"k": MASK, "kty": "OCT"}])
def test_a_mask_in_an_item_that_is_not_the_stored_one_is_refused(item: dict[str, object]) -> None:
    [(path, reason)] = refused(with_keys(item), with_keys(key("first")))

    assert path == "jwt.keys.0.k"
    assert "write the key again" in reason


def test_a_mask_beyond_the_end_of_the_stored_list_is_refused() -> None:
    assert refused(with_keys(key(MASK), key(MASK)), with_keys(key("first"))) == [("jwt.keys.1.k", NONE_STORED)]


def test_an_item_that_is_written_anew_need_not_be_like_the_stored_one() -> None:
    body = with_keys(key("new", alg="HS512"), 5)

    assert restored(body, with_keys(key("first"))) == body


# ---- addresses that are added

ISSUER = "https://idp.example/realms/clinic"


def added(address: str, issuer: str | None = ISSUER, name: str = "token_endpoint") -> tuple[Any, Any]:
    """What is written where `address` is added to a provider of `issuer`, and what is stored."""
    stored = with_client(secret="hush") | ({} if issuer is None else {"issuer": issuer})
    return stored | {name: address, "client": {"id": "app", "secret": MASK}}, stored


@pytest.mark.parametrize("name", ["token_endpoint", "introspection_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("address", [f"{ISSUER}/token", "https://IDP.example:443/realms/clinic/protocol/token"])
def test_a_secret_goes_along_to_an_address_that_is_added_below_the_stored_issuer(name: str, address: str) -> None:
    body, stored = added(address, name=name)

    assert restored(body, stored)["client"] == {"id": "app", "secret": "hush"}


@pytest.mark.parametrize(
    ("address", "issuer"),
    [
        ("https://evil.example/realms/clinic/token", ISSUER),
        ("http://idp.example/realms/clinic/token", ISSUER),
        ("https://idp.example:8443/realms/clinic/token", ISSUER),
        ("https://idp.example/realms/evil/token", ISSUER),
        ("https://idp.example/realms/clinic-evil/token", ISSUER),
        ("https://idp.example/realms/clinic", ISSUER),
        (f"{ISSUER}/../evil/token", ISSUER),
        (f"{ISSUER}/%2e%2e/evil/token", ISSUER),
        (f"{ISSUER}/%252e%252e/evil/token", ISSUER),
        (f"{ISSUER}/..;/evil/token", ISSUER),
        (f"{ISSUER}/..\\evil/token", ISSUER),
        (f"{ISSUER}/token", None),
        ("urn:x/token", "urn:x"),
        ("https://[::1/token", "https://[::1"),
    ],
)
def test_nowhere_else(address: str, issuer: str | None) -> None:
    [(path, reason)] = refused(*added(address, issuer))

    assert (path, "since token_endpoint changed" in reason) == ("client.secret", True)


def test_nor_below_an_issuer_that_is_written_along_with_it() -> None:
    body, stored = added("https://evil.example/token")

    [(_, reason)] = refused(body | {"issuer": "https://evil.example"}, stored)

    assert "since issuer, token_endpoint changed" in reason


def test_nor_where_another_address_was_stored() -> None:
    body, stored = added(f"{ISSUER}/token")

    [(_, reason)] = refused(body, stored | {"token_endpoint": f"{ISSUER}/before"})

    assert "since token_endpoint changed" in reason
