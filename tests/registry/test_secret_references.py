"""References to secrets in resources: what becomes of an introspector while its secret changes, lacks or is no good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import InvalidToken, RegistryUnavailable
from flask_foreign_token.registry.resources import load
from flask_foreign_token.registry.secret_sources import secret_warnings
from flask_foreign_token.registry.snapshot import RegistrySnapshot, SnapshotBuilder

from .bodies import ISSUER, SECRET, introspector, opaque, provider
from .secret_places import in_file, in_variable, sources, written
from .snapshots import builder, built, faults, linked, stored, token

OTHER = "another secret of more than thirty-two octets"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def referring(folder: Path, name: str = "hs256", **attributes: object) -> dict[str, object]:
    return introspector(jwt={"iss": ISSUER, "secret": {"file": f"{folder}/{name}"}}, **attributes)


def following(folder: Path, environ: Mapping[str, str] | None = None) -> SnapshotBuilder:
    return builder(sources=sources(folder, environ=environ))


def reasons(snapshot: RegistrySnapshot) -> list[str]:
    return [str(issue) for issue in snapshot.out_of_service]


def sent(snapshot: RegistrySnapshot, id_: str = "o") -> tuple[dict[str, str], dict[str, str]]:
    """What an introspector shows of this app where it asks."""
    inquiry = linked(snapshot, id_).inquiry
    assert inquiry is not None
    return dict(inquiry.authentication.headers), dict(inquiry.authentication.form)


# ---- where references may stand


KEYS = [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": {"env": "HUSH"}}]


def test_every_secret_may_be_a_reference() -> None:
    [client] = map(load, stored(provider(client={"id": "app", "secret": {"env": "HUSH"}})))
    [by_secret] = map(load, stored(introspector(jwt={"iss": "i", "secret": {"file": "/run/secrets/x"}})))
    [by_keys] = map(load, stored(introspector(jwt={"iss": "i", "keys": KEYS})))
    [asked] = map(load, stored(opaque(introspection_endpoint={"url": "https://a", "authorization": {"env": "HUSH"}})))
    as_client: Any = {"url": "https://a", "client_id": "c", "client_secret": {"env": "HUSH"}}
    [asked_as_client] = map(load, stored(opaque(introspection_endpoint=as_client)))

    assert client.client.secret == in_variable("HUSH")
    assert by_secret.jwt.secret == in_file("/run/secrets/x")
    assert by_keys.jwt.keys[0]["k"] == in_variable("HUSH")
    assert asked.introspection_endpoint.authorization == in_variable("HUSH")
    assert asked_as_client.introspection_endpoint.client_secret == in_variable("HUSH")


def test_a_token_is_verified_with_the_secret_of_a_file(folder: Path) -> None:
    written(folder / "hs256", SECRET + "\n")

    snapshot = built(referring(folder), by=following(folder))

    assert token(snapshot).subject == "jane"
    assert snapshot.out_of_service == ()


def test_a_token_is_verified_with_the_key_of_a_variable() -> None:
    snapshot = built(
        introspector(jwt={"iss": ISSUER, "keys": KEYS}), by=builder(sources=sources(environ={"HUSH": SECRET}))
    )

    assert token(snapshot).subject == "jane"


def test_an_endpoint_is_asked_with_the_secrets_that_are_referred_to() -> None:
    by = builder(sources=sources(environ={"AUTHORIZATION": "Bearer hush", "SECRET": "hush"}))
    url = "https://idp.example/introspect"
    secret = {"env": "SECRET"}
    own = {"url": url, "client_id": "c", "client_secret": secret, "auth_method": "client_secret_post"}
    client = {"id": "app", "secret": secret, "auth-method": "client_secret_post"}

    snapshot = built(
        opaque("a", token_prefix="a_", introspection_endpoint={"url": url, "authorization": {"env": "AUTHORIZATION"}}),
        opaque("b", token_prefix="b_", introspection_endpoint=own),
        provider(introspection_endpoint=url, client=client),
        opaque("c", "k", token_prefix="c_"),
        by=by,
    )

    assert sent(snapshot, "a") == ({"Authorization": "Bearer hush"}, {})
    assert sent(snapshot, "b") == ({}, {"client_id": "c", "client_secret": "hush"})
    assert sent(snapshot, "c") == ({}, {"client_id": "app", "client_secret": "hush"})


# ---- absent, and no good


def test_an_introspector_without_its_secret_is_out_of_service_and_the_others_go_on(folder: Path) -> None:
    snapshot = built(referring(folder), introspector("other", iss="https://other.example"), by=following(folder))

    assert reasons(snapshot) == [
        f"TokenIntrospector/i jwt.secret: the file {folder}/hs256 cannot be read: No such file or directory"
    ]
    with pytest.raises(RegistryUnavailable):
        token(snapshot)
    assert token(snapshot, "https://other.example").subject == "jane"


def test_every_key_that_is_not_there_is_named() -> None:
    keys = [KEYS[0] | {"k": {"env": name}} for name in ("ONE", "TWO")]

    snapshot = built(
        introspector(jwt={"iss": ISSUER, "keys": keys}), by=builder(sources=sources(environ={"TWO": "short"}))
    )

    assert reasons(snapshot) == [
        "TokenIntrospector/i jwt.keys.0.k: the environment variable ONE is not set",
        "TokenIntrospector/i jwt.keys.1.k: the secret is shorter than the 32 octets that HS256 needs",
    ]


def test_what_is_wrong_besides_is_named_with_a_key_that_is_not_there() -> None:
    lacking = KEYS[0] | {"k": {"env": "ONE"}}
    public = {"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": "no key"}

    found = faults(introspector(jwt={"iss": ISSUER, "keys": [lacking, public]}), by=builder(sources=sources()))

    assert [(issue.path, issue.message.partition(",")[0]) for issue in found] == [
        ("jwt.keys.0.k", "the environment variable ONE is not set"),
        ("jwt.keys.1.pub", "must be one public key in PEM"),
        ("jwt.keys", "symmetric and asymmetric keys do not stand together"),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the secret is empty or blank"),
        (" \n", "the secret is empty or blank"),
        ("short\n", "shorter than the 32 octets"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "is the text of a key"),
        (b"\xff" * 40, "does not hold text in UTF-8"),
        ("x" * 70_000, "holds more than 64 KiB"),
    ],
    ids=["empty", "blank", "short", "a public key", "not UTF-8", "too large"],
)
def test_what_is_there_and_no_good_takes_it_out_of_service_and_is_refused(
    folder: Path, content: str | bytes, reason: str
) -> None:
    written(folder / "hs256", content)
    by = following(folder)

    [issue] = built(referring(folder), by=by).out_of_service
    [fault] = by.faults(stored(referring(folder)))

    assert (issue.path, reason in issue.message) == ("jwt.secret", True)
    assert fault == issue


def test_a_blank_client_secret_and_what_is_no_header_are_refused() -> None:
    by = builder(sources=sources(environ={"BLANK": " ", "LINES": "Bearer a\r\nX: y"}))
    url = "https://idp.example/introspect"

    [blank] = by.faults(
        stored(opaque(introspection_endpoint={"url": url, "client_id": "c", "client_secret": {"env": "BLANK"}}))
    )
    [lines] = by.faults(stored(opaque(introspection_endpoint={"url": url, "authorization": {"env": "LINES"}})))

    assert (blank.path, blank.message) == ("introspection_endpoint.client_secret", "must not be blank")
    assert (lines.path, "must be printable ASCII" in lines.message) == ("introspection_endpoint.authorization", True)


def test_an_absent_secret_is_no_fault(folder: Path) -> None:
    client = {"id": "app", "secret": {"env": "ABSENT"}}
    asked = provider(introspection_endpoint="https://idp.example/provider", client=client)

    assert following(folder).faults(stored(referring(folder), asked, opaque("o", "k"))) == ()


@pytest.mark.parametrize(
    "reference",
    [{"file": "/etc/passwd"}, {"file": "{folder}/../../etc/passwd"}, {"env": "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET"}],
    ids=["elsewhere", "dots", "a setting"],
)
def test_what_may_not_be_named_is_refused_even_where_nobody_uses_it(folder: Path, reference: dict[str, str]) -> None:
    secret = {name: value.format(folder=folder) for name, value in reference.items()}
    by = following(folder, {"FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": SECRET})

    [of_provider] = by.faults(stored(provider(client={"id": "app", "secret": secret})))
    [of_introspector] = by.faults(stored(introspector(jwt={"iss": ISSUER, "secret": secret})))

    assert (of_provider.resource, of_provider.path) == ("IdentityProvider/k", "client.secret")
    assert (of_introspector.resource, of_introspector.path) == ("TokenIntrospector/i", "jwt.secret")


def test_an_asked_provider_without_its_secret_is_named_with_the_place(folder: Path) -> None:
    client = {"id": "app", "secret": {"env": "ABSENT"}}
    asked = provider(introspection_endpoint="https://idp.example/provider", client=client)

    [reason] = reasons(built(asked, opaque("o", "k"), by=following(folder)))

    assert reason.startswith("TokenIntrospector/o introspection_endpoint: is asked for at IdentityProvider/k, where ")
    assert reason.endswith("client.secret: the environment variable ABSENT is not set")


def test_algorithms_that_do_not_fit_a_secret_are_refused_before_it_is_there(folder: Path) -> None:
    body = introspector(jwt={"iss": ISSUER, "secret": {"file": f"{folder}/hs256"}, "algorithms": ["HS256", "HS512"]})

    assert [issue.path for issue in following(folder).faults(stored(body))] == ["jwt.algorithms"]


# ---- changes


def test_another_secret_is_another_version_and_only_what_rests_on_it_is_compiled_again(folder: Path) -> None:
    written(folder / "hs256", SECRET)
    by = following(folder)
    bodies = [referring(folder), introspector("other", iss="https://other.example")]
    before = built(*bodies, by=by)
    assert by.is_current(before)
    written(folder / "hs256", OTHER)

    changed = not by.is_current(before)
    after = built(*bodies, by=by, previous=before)

    assert changed
    assert not after.vouches(linked(before).introspector.introspector)
    with pytest.raises(InvalidToken):
        token(after)
    assert linked(after, "other") is linked(before, "other")


def test_fetched_keys_stay_while_the_secret_of_their_provider_changes(folder: Path) -> None:
    by = following(folder)
    asked = provider(client={"id": "app", "secret": {"file": f"{folder}/client"}})
    bodies = [asked, introspector(link="k", jwt={"iss": ISSUER}, jwks_uri="https://idp.example/keys")]
    before = built(*bodies, by=by)
    written(folder / "client", "new")

    after = built(*bodies, by=by, previous=before)

    assert linked(after).introspector is not linked(before).introspector
    assert linked(after).introspector.keys is linked(before).introspector.keys  # type: ignore[union-attr]


def test_a_secret_that_comes_back_is_another_version_again(folder: Path) -> None:
    by, snapshot, versions = following(folder), None, []
    for secret in (SECRET, OTHER, SECRET):
        written(folder / "hs256", secret)
        snapshot = built(referring(folder), by=by, previous=snapshot)
        versions.append(linked(snapshot).introspector.introspector.version)

    assert len(set(versions)) == 3


def test_the_same_secret_written_anew_changes_nothing(folder: Path) -> None:
    written(folder / "hs256", SECRET)
    by = following(folder)
    before = built(referring(folder), by=by)
    written(folder / "hs256", SECRET + "\n")

    assert by.is_current(before)
    assert linked(built(referring(folder), by=by, previous=before)) is linked(before)


def test_an_endpoint_that_refused_the_old_credential_is_asked_with_the_new_one_at_once(folder: Path) -> None:
    written(folder / "client", "old")
    by = following(folder)
    own = {"url": "https://a", "client_id": "c", "client_secret": {"file": f"{folder}/client"}}
    before = built(opaque(introspection_endpoint=own), by=by)
    edited = built(opaque(introspection_endpoint=own, cache_ttl=5), by=by, previous=before)
    written(folder / "client", "new")

    after = built(opaque(introspection_endpoint=own, cache_ttl=5), by=by, previous=edited)

    endpoints = [linked(snapshot, "o").introspector.endpoint for snapshot in (before, edited, after)]  # type: ignore[union-attr]
    assert endpoints[0] is endpoints[1]
    assert endpoints[1] is not endpoints[2]


def test_no_version_says_anything_of_a_secret(folder: Path) -> None:
    written(folder / "hs256", SECRET)

    one, two = (built(referring(folder), by=following(folder)) for _ in range(2))

    assert linked(one).introspector.introspector != linked(two).introspector.introspector
    assert SECRET not in repr(one)


def test_what_is_judged_for_an_edit_is_what_is_there_then(folder: Path) -> None:
    by = following(folder)
    known = built(referring(folder), by=by)
    written(folder / "hs256", "short")

    assert [issue.path for issue in by.faults(stored(referring(folder)), known=known)] == ["jwt.secret"]


# ---- warnings


def warnings(body: dict[str, object], folder: Path, *, is_kept: bool = True) -> list[tuple[str, str]]:
    issues = secret_warnings("X/x", body, sources(folder, environ={"HUSH": "hush"}), is_kept=is_kept)
    return [(issue.path, issue.message) for issue in issues]


def test_a_secret_that_is_written_out_for_the_database_has_a_warning_that_names_the_alternative(folder: Path) -> None:
    body = provider(client={"id": "app", "secret": "hush"})

    [(path, message)] = warnings(body, folder)

    assert path == "client.secret"
    assert f'{{"file": "{folder}/NAME"}}' in message
    assert "hush" not in message
    assert warnings(body, folder, is_kept=False) == []


def test_a_reference_and_a_mask_have_none(folder: Path) -> None:
    assert warnings(provider(client={"id": "app", "secret": {"env": "HUSH"}}), folder) == []
    assert warnings(provider(client={"id": "app", "secret": "********"}), folder) == []


@pytest.mark.parametrize("is_kept", [True, False], ids=["database", "file"])
def test_a_secret_that_is_not_there_has_a_warning(folder: Path, is_kept: bool) -> None:
    [(path, message)] = warnings(referring(folder), folder, is_kept=is_kept)

    assert (path, message.startswith(f"the file {folder}/hs256 cannot be read")) == ("jwt.secret", True)


def test_of_what_is_refused_there_is_no_warning(folder: Path) -> None:
    assert warnings(introspector(jwt={"iss": "i", "secret": {"file": "/etc/passwd"}}), folder) == []
