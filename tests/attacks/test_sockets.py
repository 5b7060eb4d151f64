"""What only a socket can carry, to the servers that apps run on: neither lets in what the other would refuse."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import trusting, write_registry
from ..conftest import MakeApp
from ..integration.serving import served
from ..publishing import listening

GUNICORN = """
from flask import Flask, g
from flask_foreign_token import ForeignToken, require_policy

app = Flask(__name__)
ForeignToken(app)

@app.route("/patients", methods=["GET", "POST"])
@require_policy
def patients():
    return {"subject": g.token.subject}
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


Lines = Callable[[bytes], list[bytes]]
"""The lines of a request's head that a good token is put into."""

WRONG: dict[str, Lines] = {
    "a NUL behind": lambda token: [b"Authorization: Bearer " + token + b"\x00"],
    "a NUL within": lambda token: [b"Authorization: Bearer " + token[:9] + b"\x00" + token[9:]],
    "a NUL before": lambda token: [b"Authorization: \x00Bearer " + token],
    "a bare CR within": lambda token: [b"Authorization: Bearer " + token[:9] + b"\r" + token[9:]],
    "a bare LF within": lambda token: [b"Authorization: Bearer " + token[:9] + b"\n" + token[9:]],
    "a bare LF and a header": lambda token: [b"Authorization: Bearer " + token[:9] + b"\nX-Rest: " + token[9:]],
    "a folded line": lambda token: [b"Authorization: Bearer " + token[:9] + b"\r\n " + token[9:]],
    "a folded line behind the scheme": lambda token: [b"Authorization: Bearer\r\n\t" + token],
    "a tab for a space": lambda token: [b"Authorization: Bearer\t" + token],
    "a tab within": lambda token: [b"Authorization: Bearer " + token[:9] + b"\t" + token[9:]],
    "a space within": lambda token: [b"Authorization: Bearer " + token[:9] + b" " + token[9:]],
    "a vertical tab": lambda token: [b"Authorization: Bearer\x0b" + token],
    "Latin 1": lambda token: [b"Authorization: Bearer " + token + b"\xe4"],
    "UTF-8": lambda token: [b"Authorization: Bearer " + token + b"\xc3\xa4"],
    "a no-break space": lambda token: [b"Authorization: Bearer\xa0" + token],
    "a delete": lambda token: [b"Authorization: Bearer " + token + b"\x7f"],
    "a soft hyphen": lambda token: [b"Authorization: Bearer " + token[:9] + b"\xad" + token[9:]],
    "a space before the colon": lambda token: [b"Authorization : Bearer " + token],
    "a folded first line": lambda token: [b" Authorization: Bearer " + token],
    "another name": lambda token: [b"Authorization_: Bearer " + token],
    "a name with an underscore": lambda token: [b"HTTP_AUTHORIZATION: Bearer " + token],
    "a proxy's name": lambda token: [b"Proxy-Authorization: Bearer " + token],
    "the same twice": lambda token: [b"Authorization: Bearer " + token] * 2,
    "the same twice, in other letters": lambda token: [
        b"Authorization: Bearer " + token,
        b"AUTHORIZATION: Bearer " + token,
    ],
    "two tokens": lambda token: [b"Authorization: Bearer " + token, b"Authorization: Bearer other"],
    "two tokens, the good one last": lambda token: [b"Authorization: Bearer other", b"Authorization: Bearer " + token],
    "another behind others": lambda token: [
        b"Authorization: Bearer " + token,
        b"Accept: */*",
        b"Authorization: Bearer " + token,
    ],
    "Basic behind": lambda token: [b"Authorization: Bearer " + token, b"Authorization: Basic YTpi"],
    "Basic before": lambda token: [b"Authorization: Basic YTpi", b"Authorization: Bearer " + token],
    "nothing behind": lambda token: [b"Authorization: Bearer " + token, b"Authorization:"],
    "nothing before": lambda token: [b"Authorization:", b"Authorization: Bearer " + token],
    "two in one line": lambda token: [b"Authorization: Bearer " + token + b", Bearer " + token],
    "16 KiB and a byte": lambda token: [b"Authorization: Bearer " + token.ljust(16 * 1024 - 6, b"=")],
    "a flipped signature": lambda token: [
        b"Authorization: Bearer " + token[:-2] + (b"AA" if token[-2:] != b"AA" else b"QQ")
    ],
    "a second one in the query": lambda token: [b"X-Query: access_token=" + token, b"Authorization: Bearer " + token],
}
GOOD: dict[str, Lines] = {
    "as it should be": lambda token: [b"Authorization: Bearer " + token],
    "in small letters": lambda token: [b"authorization: bearer " + token],
    "more spaces": lambda token: [b"Authorization:   Bearer   " + token],
    "no space behind the colon": lambda token: [b"Authorization:Bearer " + token],
    "white space before the value": lambda token: [b"Authorization: \t Bearer " + token],
    "beside a proxy's": lambda token: [b"Authorization: Bearer " + token, b"Proxy-Authorization: Bearer other"],
    "16 KiB": lambda token: [b"Authorization: Bearer " + token, b"X-Padding: " + b"x" * 8000],
}


def status(address: str, lines: list[bytes]) -> int:
    """The status of the answer to a GET with the `lines`; 0: the server hangs up without one."""
    target = urlsplit(address)
    query = b"".join(b"?" + line.partition(b": ")[2] for line in lines if line.startswith(b"X-Query"))
    head = [b"GET /patients" + query + b" HTTP/1.1", *lines, b"Host: 127.0.0.1", b"Connection: close", b"", b""]
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=30) as connection:
        connection.sendall(b"\r\n".join(head))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "wsgi.py").write_text(GUNICORN)
    write_registry(folder / "registry.json", trusting(issuer))
    with served(folder, FOREIGN_TOKEN_REGISTRY="registry.json") as address:
        yield address


@pytest.fixture
def werkzeug(make_app: MakeApp, issuer: Issuer) -> Iterator[str]:
    with listening(make_app(trusting(issuer))) as address:
        yield address


@pytest.fixture(params=["werkzeug", "gunicorn"])
def server(request: pytest.FixtureRequest) -> str:
    """The address of an app behind one of them; it knows the issuer's keys."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG.keys())
def test_what_a_client_must_not_send_lets_nobody_in(server: str, issuer: Issuer, lines: Lines) -> None:
    token = issuer.token(sub="ann").encode()

    # Whichever of them finds it, the server or the app; some is dropped, and leaves nobody.
    assert status(server, lines(token)) in (400, 401)
    assert status(server, GOOD["as it should be"](token)) == 200


@pytest.mark.parametrize("lines", GOOD.values(), ids=GOOD.keys())
def test_what_a_client_may_send_is_let_in(server: str, issuer: Issuer, lines: Lines) -> None:
    assert status(server, lines(issuer.token(sub="ann").encode())) == 200
