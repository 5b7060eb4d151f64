"""References beside masks: shown as they are, and no mask stands for one."""

from __future__ import annotations

import json

import pytest

from flask_foreign_token.registry.fields import MASK, SecretReference
from flask_foreign_token.registry.schemas import SCHEMAS
from flask_foreign_token.registry.secrets import masked, plain_secrets_in, references_in, restored

from .bodies import provider
from .masking import BOUND, examples, key, refused, with_client, with_keys

REFERENCES = [{"env": "HUSH"}, {"file": "/run/secrets/hush"}]


@pytest.mark.parametrize("reference", REFERENCES, ids=["env", "file"])
@pytest.mark.parametrize("type_", SCHEMAS)
def test_a_reference_is_shown_as_it_is_wherever_a_secret_may_stand(type_: str, reference: dict[str, str]) -> None:
    body = examples(SCHEMAS[type_], reference) | {"resourceType": type_}

    assert masked(body) == body
    assert restored(body, body) == body


@pytest.mark.parametrize("type_", ["IdentityProvider", "TokenIntrospector"])
def test_references_are_found_wherever_a_secret_may_stand(type_: str) -> None:
    body = examples(SCHEMAS[type_], {"env": "HUSH"}) | {"resourceType": type_}

    found = references_in(body)

    assert json.dumps(body).count("HUSH") == len(found) > 0
    assert set(found.values()) == {SecretReference("env", "HUSH")}
    assert sorted(found) == sorted(plain_secrets_in(examples(SCHEMAS[type_], "hush") | {"resourceType": type_}))


@pytest.mark.parametrize("reference", REFERENCES, ids=["env", "file"])
def test_the_mask_stands_for_no_reference(reference: dict[str, str]) -> None:
    [(path, reason)] = refused(with_client(secret=MASK), with_client(secret=reference))
    [(of_key, _)] = refused(with_keys(key(MASK)), with_keys(key(reference)))

    assert (path, "a reference is stored" in reason) == ("client.secret", True)
    assert of_key == "jwt.keys.0.k"
    assert restored(with_client(secret="new"), with_client(secret=reference)) == with_client(secret="new")


@pytest.mark.parametrize("reference", REFERENCES, ids=["env", "file"])
def test_a_reference_replaces_a_secret_and_goes_along_to_another_address(reference: dict[str, str]) -> None:
    body = with_client(secret=reference) | {"issuer": "https://elsewhere.example"}

    assert restored(body, with_client(secret="hush") | BOUND) == body
    assert restored(body, with_client(secret=reference) | BOUND) == body


def test_a_reference_in_a_place_that_no_schema_knows_is_masked() -> None:
    body = provider(client={"sceret": {"env": "HUSH"}})

    assert masked(body) == provider(client={"sceret": MASK})
    assert restored(masked(body), body) == body
    assert references_in(body) == {}
