from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_foreign_token.errors import ProviderUnavailable, Rejected
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.discovery import IssuerMismatch, NoMetadata, discover

from ..http_fixtures import trusted_fixture  # noqa: F401
from ..http_servers import answer, answering, serving
from ..publishing import OAUTH, OPENID, Publisher, metadata, publishing

ISSUER = "https://id.example/realms/clinic"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def backchannel(publisher: Publisher) -> str:
    return f"{publisher.origin}/realms/clinic"


def faults(http: Http, issuer: str, backchannel: str | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as rejected:
        discover(http, issuer, backchannel)
    return [(issue.path, issue.message) for issue in rejected.value.issues]


def test_a_document_is_found_at_the_issuer(http: Http, publisher: Publisher) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer))

    found = discover(http, issuer)

    assert (found.issuer, found.address) == (issuer, f"{issuer}{OPENID}")
    assert found.text("jwks_uri") == f"{issuer}/certs"
    assert found.texts("scopes_supported") == ["openid", "email", "profile"]
    assert found.text("introspection_endpoint") is None


def test_the_slash_at_the_end_of_an_issuer_is_part_of_its_name_and_not_of_the_address(
    http: Http, publisher: Publisher
) -> None:
    issuer = f"{publisher.origin}/"
    publisher.publish(OPENID, metadata(issuer))

    assert discover(http, issuer).issuer == issuer
    assert publisher.asked == [OPENID]


def test_a_backchannel_is_asked_in_place_of_the_issuer(http: Http, publisher: Publisher, backchannel: str) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER))

    assert discover(http, ISSUER, backchannel).issuer == ISSUER


@pytest.mark.requirement("RFC 8414", "3.1")
def test_what_rfc_8414_publishes_is_found_where_openid_publishes_nothing(http: Http, publisher: Publisher) -> None:
    issuer = f"{publisher.origin}/realms/clinic"
    document = metadata(
        issuer,
        subject_types_supported=None,
        id_token_signing_alg_values_supported=None,
        token_endpoint_auth_methods_supported=None,
    )
    publisher.publish(f"{OAUTH}/realms/clinic", document)

    found = discover(http, issuer)

    assert found.address == f"{publisher.origin}{OAUTH}/realms/clinic"
    assert publisher.asked == [f"/realms/clinic{OPENID}", f"{OAUTH}/realms/clinic"]


def test_a_provider_without_a_document_is_told_from_one_that_is_down(http: Http, backchannel: str) -> None:
    with pytest.raises(NoMetadata) as missing:
        discover(http, ISSUER, backchannel)

    assert str(missing.value.hint).count("status 404") == 2


def test_a_provider_that_is_down_is_asked_once(http: Http, publisher: Publisher, backchannel: str) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", {}, 503)

    with pytest.raises(ProviderUnavailable) as unavailable:
        discover(http, ISSUER, backchannel)

    assert not isinstance(unavailable.value, NoMetadata)
    assert unavailable.value.hint == f"{backchannel}{OPENID}: status 503"
    assert len(publisher.asked) == 1


@pytest.mark.requirement("RFC 8414", "3.3")
@pytest.mark.requirement("RFC 8414", "3.3", 2)
@pytest.mark.parametrize(
    "named",
    [
        f"{ISSUER}/",
        "https://ID.example/realms/clinic",
        "https://id.example:443/realms/clinic",
        "http://id.example/realms/clinic",
        "https://id.example/realms/clinic2",
    ],
)
def test_an_issuer_that_differs_by_a_character_is_refused(
    http: Http, publisher: Publisher, backchannel: str, named: str
) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(named))

    with pytest.raises(IssuerMismatch) as mismatch:
        discover(http, ISSUER, backchannel)

    assert mismatch.value.named == named
    assert named in str(mismatch.value)
    assert ISSUER in str(mismatch.value)


def test_the_issuer_that_a_document_names_is_printed_as_plain_text(
    http: Http, publisher: Publisher, backchannel: str
) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata("\x1b[31m\n" + "a" * 10_000))

    with pytest.raises(IssuerMismatch) as mismatch:
        discover(http, ISSUER, backchannel)

    assert str(mismatch.value).isprintable()
    assert len(str(mismatch.value)) < 1000


@pytest.mark.requirement("RFC 8414", "3.3")
@pytest.mark.parametrize("named", [None, 1, [ISSUER], {"issuer": ISSUER}])
def test_a_document_must_name_its_issuer(http: Http, publisher: Publisher, backchannel: str, named: object) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER, issuer=named))

    assert faults(http, ISSUER, backchannel) == [("issuer", "must be there, and a text")]


@pytest.mark.parametrize("document", [[], "text", 1, None])
def test_a_document_must_be_an_object(http: Http, publisher: Publisher, backchannel: str, document: object) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", json.dumps(document))

    assert faults(http, ISSUER, backchannel) == [("", "must be an object")]


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("jwks_uri", ["https://id.example/certs"], "must be a text"),
        ("token_endpoint", {"url": "https://id.example"}, "must be a text"),
        ("userinfo_endpoint", 1, "must be a text"),
        ("revocation_endpoint", True, "must be a text"),
        ("scopes_supported", "openid", "must be a list of texts"),
        ("grant_types_supported", [["password"]], "must be a list of texts"),
        ("response_types_supported", {"code": True}, "must be a list of texts"),
        ("jwks_uri", None, "is required"),
        ("response_types_supported", None, "is required"),
        ("subject_types_supported", None, "is required"),
        ("authorization_endpoint", None, "is required"),
        ("id_token_signing_alg_values_supported", ["ES256"], '"RS256" MUST be included in'),
        ("claims_parameter_supported", "yes", "MUST be boolean"),
        ("op_policy_uri", "secret-content", "MUST be a URL"),
        ("registration_endpoint", "http://id.example/clients", 'MUST use "https" scheme'),
        ("userinfo_endpoint", "http://id.example/userinfo", "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS"),
        ("jwks_uri", "ftp://id.example/certs", "must be https"),
        ("token_endpoint", "https://user:secret-content@id.example/token", "without user, password and fragment"),
    ],
)
def test_a_member_that_is_wrong_is_named_with_the_reason_and_not_quoted(
    http: Http, publisher: Publisher, backchannel: str, member: str, value: object, reason: str
) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER, **{member: value}))

    found = faults(http, ISSUER, backchannel)

    assert [path for path, _ in found] == [member]
    assert reason in found[0][1]
    assert "secret-content" not in found[0][1]


def test_every_fault_is_named(http: Http, publisher: Publisher, backchannel: str) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(ISSUER, jwks_uri=1, token_endpoint="http://id.example/"))

    assert [path for path, _ in faults(http, ISSUER, backchannel)] == ["jwks_uri", "token_endpoint"]


@pytest.mark.requirement("RFC 8414", "2")
def test_plain_http_is_for_the_hosts_that_are_allowed(publisher: Publisher) -> None:
    issuer = "http://keycloak:8080/realms/clinic"
    publisher.publish(f"/realms/clinic{OPENID}", metadata(issuer))
    backchannel = f"{publisher.origin}/realms/clinic"

    with closing(Http(allow_http_hosts=["127.0.0.1", "keycloak"])) as allowing:
        assert discover(allowing, issuer, backchannel).text("jwks_uri") == f"{issuer}/certs"
    with closing(Http()) as strict:
        assert {path for path, _ in faults(strict, issuer, backchannel)} >= {"jwks_uri", "token_endpoint"}
    assert "AUTHLIB_INSECURE_TRANSPORT" not in os.environ


def test_a_member_that_is_null_counts_as_absent(http: Http, publisher: Publisher, backchannel: str) -> None:
    document = {**metadata(ISSUER), "registration_endpoint": None, "tenant_region_scope": None}
    publisher.publish(f"/realms/clinic{OPENID}", document)

    assert "registration_endpoint" not in discover(http, ISSUER, backchannel).document


@pytest.mark.requirement("RFC 8414", "2")
@pytest.mark.parametrize(
    ("issuer", "backchannel", "path"),
    [
        ("http://keycloak:8080/realms/clinic", None, "issuer"),
        ("clinic", None, "issuer"),
        (ISSUER, "http://keycloak:8080/realms/clinic", "backchannel"),
        ("https://id.example/realms/clinic?a=b", None, "issuer"),
    ],
)
def test_an_address_that_must_not_be_called_is_not_called(
    http: Http, issuer: str, backchannel: str | None, path: str
) -> None:
    assert [name for name, _ in faults(http, issuer, backchannel)] == [path]


@pytest.mark.parametrize(
    "issuer",
    ["clinic", "127.0.0.1:8280/realms/x", "urn:clinic", "https://[x", "https://id.example/ä", "https://id.example/ "],
)
def test_an_issuer_that_is_no_url_of_printable_ascii_is_refused(http: Http, publisher: Publisher, issuer: str) -> None:
    [(path, reason)] = faults(http, issuer, publisher.origin)

    assert path == "issuer"
    assert reason.startswith("must begin with https:// (or http:// for the hosts in FOREIGN_TOKEN_ALLOW_HTTP_HOSTS)")
    assert "a URL of printable ASCII characters" in reason
    assert publisher.asked == []


@pytest.mark.parametrize("named", ["clinic", "https://id.example/\u202e", f"https://id.example/{'a' * 300}"])
def test_an_issuer_that_cannot_be_typed_is_not_proposed(
    http: Http, publisher: Publisher, backchannel: str, named: str
) -> None:
    publisher.publish(f"/realms/clinic{OPENID}", metadata(named))

    with pytest.raises(IssuerMismatch) as mismatch:
        discover(http, ISSUER, backchannel)

    assert mismatch.value.named == ""


# ---- what is asked for with TLS is not called without


@pytest.mark.parametrize("member", ["token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint"])
def test_a_document_that_came_by_tls_names_no_endpoint_without(
    http: Http, trusted: ssl.SSLContext, member: str
) -> None:
    pages: list[bytes] = []
    with serving(lambda peer: answering(*pages)(peer), tls=trusted) as server:
        pages.append(answer(json.dumps(metadata(server.origin, **{member: "http://localhost/x"})).encode()))

        assert faults(http, server.origin) == [
            (member, "must be https, as the address is at which the document was found")
        ]


def test_a_document_that_came_by_tls_may_name_endpoints_with_it(http: Http, trusted: ssl.SSLContext) -> None:
    pages: list[bytes] = []
    with serving(lambda peer: answering(*pages)(peer), tls=trusted) as server:
        pages.append(answer(json.dumps(metadata(server.origin)).encode()))

        assert discover(http, server.origin).text("token_endpoint") == f"{server.origin}/token"


def test_a_backchannel_with_tls_may_stand_for_an_issuer_without(http: Http, trusted: ssl.SSLContext) -> None:
    issuer = "http://localhost:8180"
    with serving(answering(answer(json.dumps(metadata(issuer)).encode())), tls=trusted) as server:
        assert discover(http, issuer, server.origin).text("token_endpoint") == f"{issuer}/token"


def test_an_issuer_with_tls_has_no_endpoint_without_but_at_its_backchannel(
    http: Http, publisher: Publisher, backchannel: str
) -> None:
    document = metadata(ISSUER, backchannel)
    publisher.publish(f"/realms/clinic{OPENID}", document)
    there = discover(http, ISSUER, backchannel).text("token_endpoint")
    publisher.publish(f"/realms/clinic{OPENID}", {**document, "token_endpoint": "http://localhost/token"})

    assert there == f"{backchannel}/token"
    assert faults(http, ISSUER, backchannel) == [("token_endpoint", "must be https, as the issuer is")]


def test_browsers_are_not_sent_to_a_backchannel_without_tls(http: Http, publisher: Publisher, backchannel: str) -> None:
    document = metadata(ISSUER, backchannel, authorization_endpoint=f"{backchannel}/auth")
    publisher.publish(f"/realms/clinic{OPENID}", document)

    assert faults(http, ISSUER, backchannel) == [("authorization_endpoint", "must be https, as the issuer is")]
