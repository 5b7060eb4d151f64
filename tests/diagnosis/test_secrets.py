"""Secrets that stand in the database."""

from __future__ import annotations

from flask_foreign_token.diagnosis.secrets import check_secrets

from ..apps import introspector, policy, provider
from ..registry.snapshots import BUILDER, built, stored

PLAIN = "nobody-should-read-this-in-the-database-0"


def test_places_of_secrets_are_named_and_no_secret() -> None:
    keys = [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": PLAIN}]
    snapshot = built(
        provider("a", client={"id": "c", "secret": PLAIN}),
        introspector("b", None, jwt={"iss": "https://b", "keys": keys}),
        policy("c", {"jwt": {"secret": PLAIN}}),
    )

    [finding] = check_secrets(snapshot)

    assert (finding.check, finding.mark) == ("secrets", "warning")
    assert finding.found.endswith(": IdentityProvider/a client.secret, TokenIntrospector/b jwt.keys.0.k")
    assert PLAIN not in repr(finding)
    assert '{"env": "NAME"}' in finding.remedy[0]


def test_where_there_are_none_all_is_well() -> None:
    [finding] = check_secrets(built(provider("a"), policy("c")))

    assert finding.mark == "ok"


def test_what_names_a_secret_is_none() -> None:
    client = provider("a", client={"id": "c", "secret": {"env": "CLIENT_SECRET"}})
    signed = introspector("b", None, jwt={"iss": "https://b", "secret": {"env": "SIGNING_SECRET"}})

    [finding] = check_secrets(built(client, signed))

    assert finding.mark == "ok"


def test_of_a_resource_with_faults_of_its_own_nothing_is_said() -> None:
    resources = stored({**provider("a", client={"id": "c", "secret": PLAIN}), "unknown": 1})

    [finding] = check_secrets(BUILDER.build(resources, "1", tolerant=True))

    assert finding.mark == "ok"
