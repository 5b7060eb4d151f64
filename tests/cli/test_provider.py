from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from flask_foreign_token.documents import read_yaml
from flask_foreign_token.testing import Issuer

from ..apps import ask, policy
from ..conftest import MakeApp
from ..publishing import OPENID, Publisher, metadata, publishing
from .commands import fill, printed, refused, run, stored

CLINIC = "http://localhost:8180/realms/clinic"
NAMES = ["IdentityProvider/keycloak", "TokenIntrospector/keycloak-jwt-introspector"]


@pytest.fixture(scope="module")
def hidden() -> Iterator[Issuer]:
    """An issuer that is not at the address it is called by."""
    with Issuer(CLINIC) as issuer:
        yield issuer


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


def addition(issuer: Issuer, *more: str) -> list[str]:
    return ["provider", "add", "keycloak", "--issuer", issuer.issuer, "--backchannel", issuer.url, *more]


def body(app: Flask, name: str) -> dict[str, object]:
    found: dict[str, object] = printed(app, "get", *name.split("/"))
    return found


def test_a_provider_is_registered_and_its_tokens_are_taken(empty_app: Flask, hidden: Issuer) -> None:
    result = run(empty_app, *addition(hidden, "--audience", "account"))
    assert result.exit_code == 0, result.output
    fill(empty_app, [policy("all")])

    assert stored(empty_app)[:2] == NAMES
    assert ask(empty_app, hidden.token()).status_code == 200
    assert body(empty_app, NAMES[0])["userinfo_endpoint"] == hidden.userinfo_endpoint
    assert body(empty_app, NAMES[1])["jwks_uri"] == hidden.jwks_uri


def test_what_was_registered_is_printed(empty_app: Flask, hidden: Issuer) -> None:
    output = run(empty_app, *addition(hidden, "--audience", "account")).stdout

    assert f"created {NAMES[0]}" in output
    assert hidden.userinfo_endpoint in output
    assert hidden.jwks_uri in output


def test_a_policy_that_lacks_is_printed_as_a_command(empty_app: Flask, hidden: Issuer) -> None:
    output = run(empty_app, *addition(hidden, "--audience", "account")).stdout

    _, _, command = output.partition("flask foreign-token apply - <<'EOF'\n")
    document = command.removesuffix("EOF\n")
    assert read_yaml(document.encode()) == {
        "resourceType": "AccessPolicy",
        "id": "keycloak-users-policy",
        "engine": "matcho",
        "matcho": {"jwt": {"iss": CLINIC}},
    }
    assert run(empty_app, "apply", "-", stdin=document).exit_code == 0
    assert ask(empty_app, hidden.token()).status_code == 200


@pytest.mark.parametrize("there", [policy("all"), policy("clinic", {"jwt": {"iss": CLINIC}})])
def test_no_policy_lacks_where_one_could_let_in(empty_app: Flask, hidden: Issuer, there: dict[str, object]) -> None:
    fill(empty_app, [there])

    output = run(empty_app, *addition(hidden, "--audience", "account")).stdout

    assert "EOF" not in output
    assert "flask foreign-token doctor keycloak" in output


def test_json_says_what_was_stored_and_what_lacks(empty_app: Flask, hidden: Issuer) -> None:
    found = printed(empty_app, *addition(hidden, "--audience", "account"))

    assert [entry["outcome"] for entry in found["stored"]] == ["created", "created"]
    assert [entry["id"] for entry in found["lacking"]] == ["keycloak-users-policy"]


def test_without_an_audience_nothing_is_stored_and_the_command_is_printed(empty_app: Flask, hidden: Issuer) -> None:
    reason = refused(empty_app, *addition(hidden))

    assert (
        f"flask foreign-token provider add keycloak --issuer {CLINIC} --backchannel {hidden.url} --audience account\n"
        in reason
    )
    assert stored(empty_app) == []


@pytest.mark.parametrize("more", [["--audience", "account"], ["--client-id", "my-client"]])
def test_an_audience_or_a_client_is_enough(empty_app: Flask, hidden: Issuer, more: list[str]) -> None:
    run(empty_app, *addition(hidden, *more))

    assert stored(empty_app) == NAMES


def test_the_apps_own_name_is_an_audience(make_app: MakeApp, hidden: Issuer) -> None:
    app = make_app([], FOREIGN_TOKEN_RESOURCE="https://api.example")

    result = run(app, *addition(hidden))

    assert body(app, NAMES[1])["jwt"] == {"iss": CLINIC}
    assert "https://api.example (FOREIGN_TOKEN_RESOURCE)" in result.stdout


def test_a_document_of_another_issuer_is_refused_with_the_command_for_it(empty_app: Flask, hidden: Issuer) -> None:
    reason = refused(empty_app, "provider", "add", "keycloak", "--issuer", hidden.url, "--audience", "account")

    assert f"names {CLINIC}, not {hidden.url}" in reason
    assert f"--issuer {CLINIC} --backchannel {hidden.url} --audience account" in reason
    assert stored(empty_app) == []


def test_an_issuer_that_differs_by_a_slash_only_is_proposed_alone(empty_app: Flask, publisher: Publisher) -> None:
    publisher.publish(OPENID, metadata(publisher.origin))

    reason = refused(empty_app, "provider", "add", "x", "--issuer", f"{publisher.origin}/", "--audience", "account")

    assert f"  flask foreign-token provider add x --issuer {publisher.origin} --audience account\n" in reason


def test_a_host_that_is_not_known_is_told_without_the_ways_out_of_a_container(empty_app: Flask) -> None:
    reason = refused(empty_app, "provider", "add", "x", "--issuer", "https://id.invalid", "--audience", "account")

    assert "no host of that name is known here\n  Is it spelt right?\n" in reason
    assert "gaierror" not in reason
    assert "container" not in reason


@pytest.mark.parametrize("option", ["--issuer", "--backchannel"])
def test_an_address_without_tls_is_refused_with_the_setting(empty_app: Flask, option: str) -> None:
    addresses = {"--issuer": CLINIC, option: "http://keycloak:8080/realms/clinic"}
    words = [word for pair in addresses.items() for word in pair]

    reason = refused(empty_app, "provider", "add", "keycloak", *words, "--audience", "account")

    assert f"{option}: must be https" in reason
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in reason
    assert stored(empty_app) == []


def test_a_provider_that_is_down_is_named_with_the_remedy(empty_app: Flask, own_issuer: Issuer) -> None:
    with own_issuer.down():
        reason = refused(empty_app, *addition(own_issuer, "--audience", "account"))

    assert f"{own_issuer.url}{OPENID}: the connection is refused" in reason
    assert "http://keycloak:8080" in reason


def test_a_provider_without_a_document_is_told(empty_app: Flask, publisher: Publisher) -> None:
    reason = refused(empty_app, "provider", "add", "x", "--issuer", publisher.origin, "--audience", "account")

    assert "there is no discovery document" in reason
    assert reason.count("status 404") == 2
    assert "the host answers, so see that the path is right: in Keycloak, /realms/NAME" in reason


def test_a_faulty_document_is_refused_member_by_member(empty_app: Flask, publisher: Publisher) -> None:
    publisher.publish(OPENID, metadata(publisher.origin, jwks_uri=1, token_endpoint="ftp://x"))

    reason = refused(empty_app, "provider", "add", "x", "--issuer", publisher.origin, "--audience", "account")

    assert "jwks_uri: must be a text" in reason
    assert "token_endpoint: must be https" in reason
    assert stored(empty_app) == []


def test_a_second_provider_of_one_issuer_is_refused(empty_app: Flask, hidden: Issuer) -> None:
    run(empty_app, *addition(hidden, "--audience", "account"))
    again = addition(hidden, "--audience", "account")
    again[2] = "second"

    reason = refused(empty_app, *again)

    assert "IdentityProvider/keycloak has this issuer already" in reason
    assert f"  flask foreign-token provider add keycloak --issuer {CLINIC}" in reason
    assert "--audience account --replace\n" in reason
    assert "second" not in reason
    assert stored(empty_app) == NAMES


@pytest.mark.parametrize("id_", ["no spaces", "x" * 65])
def test_an_id_that_is_none_is_refused(empty_app: Flask, hidden: Issuer, id_: str) -> None:
    arguments = addition(hidden, "--audience", "account")
    arguments[2] = id_
    asked_before = hidden.requests["discovery"]

    reason = refused(empty_app, *arguments)

    assert reason.count("must be 1 to 64 of") == 1
    assert "ID: must be 1 to 64 of" in reason
    assert hidden.requests["discovery"] == asked_before
    assert stored(empty_app) == []


@pytest.mark.parametrize(
    "issuer", ["https://id.example/\u202eclinic", "https://id.example/ä", "clinic", "127.0.0.1:8280/realms/x"]
)
def test_an_issuer_that_is_none_is_refused(empty_app: Flask, hidden: Issuer, issuer: str) -> None:
    words = ["provider", "add", "x", "--issuer", issuer, "--backchannel", hidden.url, "--audience", "account"]

    assert "--issuer: must begin with https:// (or http:// for the hosts in" in refused(empty_app, *words)
    assert stored(empty_app) == []


@pytest.mark.parametrize("option", ["--audience", "--client-id", "--system"])
def test_what_cannot_be_printed_is_refused(empty_app: Flask, hidden: Issuer, option: str) -> None:
    reason = refused(empty_app, *addition(hidden, "--audience", "account", option, "a\u200b"))

    assert f"{option}: must hold printable characters only" in reason
    assert stored(empty_app) == []


def test_an_issuer_that_cannot_be_typed_is_not_proposed(empty_app: Flask, publisher: Publisher) -> None:
    publisher.publish(OPENID, metadata("https://id.example/\u202eclinic"))

    reason = refused(empty_app, "provider", "add", "x", "--issuer", publisher.origin, "--audience", "account")

    assert "not " + publisher.origin in reason
    assert "type:" not in reason


def test_help_shows_whole_lines(empty_app: Flask) -> None:
    for words in (["--help"], ["provider", "--help"]):
        _, _, listed = run(empty_app, *words).stdout.partition("Commands:\n")

        assert listed
        assert "..." not in listed


def test_the_printed_command_works_when_it_is_pasted(tmp_path: Path, hidden: Issuer) -> None:
    (tmp_path / "clinic.py").write_text(
        "from flask import Flask\n"
        "from flask_foreign_token import ForeignToken\n"
        f"app = Flask('clinic', instance_path={str(tmp_path)!r})\n"
        "ForeignToken(app)\n"
    )
    root = Path(__file__).parents[2]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(root), "HOME": str(tmp_path)}

    def shell(command: str) -> str:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    words = " ".join(addition(hidden, "--audience", "account"))
    output = shell(f"flask --app clinic foreign-token {words}")
    command = output[output.index("flask --app clinic foreign-token apply") :]

    assert shell(command) == "created AccessPolicy/keycloak-users-policy\n"


@pytest.mark.parametrize(
    ("words", "missing", "command"),
    [
        ([], "ID and --issuer", "ID --issuer URL --audience A"),
        (["keycloak"], "--issuer", "keycloak --issuer URL --audience A"),
        (["--issuer", CLINIC, "--client-id", "c"], "ID", f"ID --issuer {CLINIC} --client-id c"),
        (
            ["keycloak", "--system", "s", "--replace"],
            "--issuer",
            "keycloak --issuer URL --system s --replace --audience A",
        ),
    ],
    ids=["nothing", "an id", "an issuer", "an id and options"],
)
def test_what_nobody_can_be_asked_for_is_refused_with_the_command(
    empty_app: Flask, words: list[str], missing: str, command: str
) -> None:
    reason = refused(empty_app, "provider", "add", *words)

    assert f"{missing} must be named. Type:\n  flask foreign-token provider add {command}\n" in reason
    assert stored(empty_app) == []
