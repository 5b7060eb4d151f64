from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.exceptions import BadRequest

from flask_foreign_token.policies.request import MAX_BODY, RequestView, UnreadablePart

from .facts import token

ID = "5f0c9d0e-7d0a-4a3c-8f1e-0c1b2a3d4e5f"


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/fhir/<kind>", "fhir.search", lambda kind: "", methods=["GET", "POST", "PUT"])
    app.add_url_rule("/fhir/<kind>/<int:number>/<uuid:unique>/<float:share>", "fhir.read", lambda **_: "")
    app.add_url_rule("/files/<path:name>", "files", lambda name: "")
    app.add_url_rule("/first", "first", lambda page: "", defaults={"page": None})
    return app


def view_of(app: Flask, *arguments: Any, **options: Any) -> RequestView:
    with app.test_request_context(*arguments, **options):
        return RequestView(request._get_current_object(), None, None)


def test_every_part_of_a_request_with_token_and_user(app: Flask) -> None:
    user = {"resourceType": "User", "id": "u-1"}
    who = token({"iss": "https://issuer.example", "sub": "alice", "azp": "web"})
    with app.test_request_context(
        "/fhir/Patient?name=Ann&tag=a&tag=b&kind=Other",
        method="POST",
        base_url="https://api.example",
        json={"resourceType": "Patient"},
        headers={"X-Tenant": "t1", "Authorization": "Bearer secret", "Cookie": "session=secret"},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    ):
        parts = RequestView(request._get_current_object(), who, user).complete()

    headers = parts.pop("headers")
    assert parts == {
        "request-method": "post",
        "scheme": "https",
        "uri": "/fhir/Patient",
        "query-string": "name=Ann&tag=a&tag=b&kind=Other",
        "params": {"name": "Ann", "tag": ["a", "b"], "kind": "Patient"},
        "remote-addr": "192.0.2.7",
        "body": {"resourceType": "Patient"},
        "resource": {"resourceType": "Patient"},
        "operation": {"id": "fhir.search"},
        "jwt": {"iss": "https://issuer.example", "sub": "alice", "azp": "web"},
        "user": {"resourceType": "User", "id": "u-1"},
        "client": {"id": "web"},
    }
    assert headers["x-tenant"] == "t1"
    assert headers["content-type"] == "application/json"
    assert not {"authorization", "cookie"} & headers.keys()


def test_an_anonymous_request_has_neither_token_nor_client_nor_user(app: Flask) -> None:
    view = view_of(app, "/fhir/Patient")

    for absent in ("jwt", "client", "user", "token", "body", "resource", "session", "nonsense"):
        with pytest.raises(KeyError):
            view[absent]
    assert not {"jwt", "client", "user", "body"} & view.complete().keys()


def test_a_token_without_a_client_gives_no_client(app: Flask) -> None:
    with app.test_request_context("/fhir/Patient"):
        view = RequestView(request._get_current_object(), token(), None)

    assert view["jwt"] is view.token.claims
    with pytest.raises(KeyError):
        view["client"]


def test_what_an_introspection_endpoint_said_is_the_token_and_no_jwt(app: Flask) -> None:
    opaque = replace(token({"active": True, "client_id": "web"}), kind="opaque")
    with app.test_request_context("/fhir/Patient"):
        view = RequestView(request._get_current_object(), opaque, None)

    assert view["token"] is opaque.claims
    assert view["client"] == {"id": "web"}
    with pytest.raises(KeyError):
        view["jwt"]


def test_what_a_jwt_says_is_the_jwt_and_no_token(app: Flask) -> None:
    with app.test_request_context("/fhir/Patient"):
        view = RequestView(request._get_current_object(), token(), None)

    assert "jwt" in view.complete()
    with pytest.raises(KeyError):
        view["token"]


def test_a_request_that_matched_no_route_has_no_operation(app: Flask) -> None:
    view = view_of(app, "/nowhere")

    assert view["uri"] == "/nowhere"
    assert view["params"] == {}
    with pytest.raises(KeyError):
        view["operation"]


@pytest.mark.parametrize(
    ("method", "seen"),
    [("GET", "get"), ("HEAD", "get"), ("POST", "post"), ("DELETE", "delete"), ("OPTIONS", "options")],
)
def test_the_method_is_lower_case_and_head_reads_as_get(app: Flask, method: str, seen: str) -> None:
    assert view_of(app, "/fhir/Patient", method=method)["request-method"] == seen


def test_the_uri_is_decoded_once_and_has_no_query(app: Flask) -> None:
    view = view_of(app, "/files/a%20b%252Fc?x=%20y")

    assert view["uri"] == "/files/a b%2Fc"
    assert view["params"] == {"x": " y", "name": "a b%2Fc"}
    assert view["query-string"] == "x=%20y"


def test_a_query_that_is_no_utf8_is_still_a_text(app: Flask) -> None:
    view = view_of(app, "/fhir/Patient", environ_overrides={"QUERY_STRING": "a=\xff"})

    assert view["query-string"] == "a=\ufffd"


def test_route_arguments_become_json(app: Flask) -> None:
    assert view_of(app, f"/fhir/Patient/7/{ID}/0.5")["params"] == {
        "kind": "Patient",
        "number": 7,
        "unique": str(uuid.UUID(ID)),
        "share": 0.5,
    }
    assert view_of(app, "/first")["params"] == {"page": None}


def test_route_arguments_of_lists_become_lists(app: Flask) -> None:
    with app.test_request_context("/fhir/Patient"):
        request.view_args = {"ids": (uuid.UUID(ID), 1, True)}

        assert RequestView(request._get_current_object(), None, None)["params"] == {"ids": [ID, 1, True]}


def test_parts_are_built_at_their_first_use_and_kept(app: Flask) -> None:
    view = view_of(app, "/fhir/Patient?a=1")

    assert len(view) == 0
    assert view["params"] is view["params"]
    assert list(view) == ["params"]


@pytest.mark.parametrize("body", [{"a": [1, None]}, [], None, "text", 0])
def test_the_body_is_the_very_parse_that_the_view_gets(app: Flask, body: Any) -> None:
    with app.test_request_context(
        "/fhir/Patient", method="POST", data=json.dumps(body), content_type="application/json"
    ):
        view = RequestView(request._get_current_object(), None, None)

        assert view["body"] == body
        assert view["body"] is view["resource"] is request.get_json()


@pytest.mark.parametrize("content_type", ["application/fhir+json", "application/json; charset=utf-8"])
def test_other_json_types_have_a_body(app: Flask, content_type: str) -> None:
    assert view_of(app, "/fhir/Patient", method="POST", data="{}", content_type=content_type)["body"] == {}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_is_not_called_json_is_not_a_missing_one(app: Flask, content_type: str | None) -> None:
    with pytest.raises(UnreadablePart):
        view_of(app, "/fhir/Patient", method="POST", data='{"a": 1}', content_type=content_type)["body"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
def test_a_request_without_a_body_has_none_whatever_it_is_called(app: Flask, content_type: str | None) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(KeyError):
            view_of(app, "/fhir/Patient", method=method, content_type=content_type)["body"]


@pytest.mark.parametrize("data", ["{", '{"a": 1', "\xff", "nonsense", "1 2"])
def test_a_body_that_does_not_parse_is_not_a_missing_one_and_is_parsed_once(app: Flask, data: str) -> None:
    with app.test_request_context("/fhir/Patient", method="POST", data=data, content_type="application/json"):
        view = RequestView(request._get_current_object(), None, None)

        with pytest.raises(BadRequest):
            view["body"]
        for again in (lambda: view["body"], lambda: view["resource"], view.complete):
            with pytest.raises(UnreadablePart):
                again()


def test_a_body_of_one_mebibyte_is_read_and_a_larger_one_is_not(app: Flask) -> None:
    def post(size: int) -> RequestView:
        data = '"' + "a" * (size - 2) + '"'
        with app.test_request_context("/fhir/Patient", method="POST", data=data, content_type="application/json"):
            view = RequestView(request._get_current_object(), None, None)
            view["body"]
            return view

    post(MAX_BODY)
    with pytest.raises(UnreadablePart):
        post(MAX_BODY + 1)


def test_a_body_of_unknown_length_is_not_read(app: Flask) -> None:
    stream = io.BytesIO(b"{}")
    environ = {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input_terminated": True,
        "wsgi.input": stream,
        "CONTENT_TYPE": "application/json",
    }
    view = view_of(app, "/fhir/Patient", method="POST", environ_overrides=environ)

    with pytest.raises(UnreadablePart):
        view["body"]
    assert stream.tell() == 0


def test_a_key_error_while_a_part_is_built_is_not_a_missing_part(app: Flask) -> None:
    class Sloppy:
        def __str__(self) -> str:
            raise KeyError

    with app.test_request_context("/fhir/Patient"):
        request.view_args = {"model": Sloppy()}
        view = RequestView(request._get_current_object(), None, None)

        with pytest.raises(UnreadablePart):
            view["params"]


@pytest.mark.parametrize("told", [{}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "x"}, {"CONTENT_LENGTH": "-1"}])
@pytest.mark.parametrize("content_type", ["application/json", None])
def test_a_body_of_which_no_header_tells_is_not_a_missing_one(
    app: Flask, told: dict[str, str], content_type: str | None
) -> None:
    brought = {"wsgi.input": io.BytesIO(b'{"admin": true}'), "wsgi.input_terminated": True, **told}
    options = {"method": "POST", "content_type": content_type, "environ_overrides": brought}
    with app.test_request_context("/fhir/Patient", **options):
        view = RequestView(request._get_current_object(), None, None)

        for part in ("body", "resource", "body"):
            with pytest.raises(UnreadablePart):
                view[part]
        assert {"body", "resource"} <= set(view.existing())
        assert request.get_json(force=True) == {"admin": True}


def test_where_a_server_ends_its_input_a_request_without_a_body_has_none(app: Flask) -> None:
    brought = {"wsgi.input": io.BytesIO(), "wsgi.input_terminated": True}

    view = view_of(app, "/fhir/Patient", environ_overrides=brought)

    with pytest.raises(KeyError):
        view["body"]
    assert "body" not in view.existing()


def test_a_body_is_not_looked_for_until_a_policy_does(app: Flask) -> None:
    stream = io.BytesIO(b"{}")
    brought = {"wsgi.input": stream, "wsgi.input_terminated": True}

    view = view_of(app, "/fhir/Patient", method="POST", environ_overrides=brought)

    assert view["request-method"] == "post"
    assert stream.tell() == 0
