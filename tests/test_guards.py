"""Where a guard stands, and that it holds there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Blueprint, Flask, Response, g, stream_with_context
from flask.views import MethodView, View

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from .apps import ask, key_of, policy, secret_token, trusting_a_secret
from .conftest import MakeApp

Guard = Callable[[Callable[[], str]], Callable[[], str]]

ANN = policy("ann", {"jwt": {"sub": "ann"}})
GET_ONLY = policy("readers", {"request-method": "get", "jwt": {"sub": "ann"}})


def statuses(app: Flask, issuer: Issuer, path: str, method: str = "GET") -> tuple[int, int, int]:
    """For somebody whom a policy lets in, somebody whom none does, and nobody."""
    tokens = (secret_token(issuer, sub="ann"), secret_token(issuer, sub="bob"), None)
    ann, bob, nobody = (ask(app, token, path, method).status_code for token in tokens)
    return ann, bob, nobody


GUARDED, OPEN = (200, 403, 401), (200, 200, 200)


# ---- blueprints


def test_views_of_blueprints_and_of_blueprints_within_are_guarded(make_app: MakeApp, issuer: Issuer) -> None:
    leaf_only = [{"reference": "Operation/outer.inner.leaf"}]
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}}, link=leaf_only)))
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")

    @inner.get("/leaf")
    @require_policy
    def leaf() -> str:
        return str(g.token.subject)

    outer.register_blueprint(inner)
    app.register_blueprint(outer)

    assert statuses(app, issuer, "/outer/inner/leaf") == GUARDED


def clinic(foreign_token: ForeignToken) -> Blueprint:
    """A protected blueprint with a function, a class and a blueprint within."""
    outer, ward = Blueprint("clinic", __name__, url_prefix="/clinic"), Blueprint("ward", __name__, url_prefix="/ward")
    foreign_token.protect(outer)
    outer.add_url_rule("/", "index", lambda: "in", methods=["GET", "POST"])
    outer.add_url_rule("/class", view_func=Cards.as_view("cards"))
    ward.add_url_rule("/bed", "bed", lambda: "in")
    outer.register_blueprint(ward)
    return outer


class Cards(MethodView):
    def get(self) -> str:
        return "in"


@pytest.mark.parametrize("path", ["/clinic/", "/clinic/class", "/clinic/ward/bed"])
@pytest.mark.parametrize("first", ["protect", "init_app"])
def test_protect_guards_every_view_of_a_blueprint(make_app: MakeApp, issuer: Issuer, path: str, first: str) -> None:
    foreign_token = ForeignToken()
    early = clinic(foreign_token) if first == "protect" else None
    app = make_app(trusting_a_secret(ANN), foreign_token)
    app.register_blueprint(early or clinic(foreign_token))

    assert statuses(app, issuer, path) == GUARDED
    assert statuses(app, issuer, "/open") == OPEN


def test_a_protected_blueprint_lets_options_through(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    app = make_app(trusting_a_secret(ANN), foreign_token)
    app.register_blueprint(clinic(foreign_token))

    assert statuses(app, issuer, "/clinic/", "OPTIONS") == OPEN
    assert ask(app, path="/clinic/", method="POST").status_code == 401


def test_a_protected_blueprint_in_an_app_without_the_extension_is_closed(bare_app: MakeApp) -> None:
    app = bare_app()
    app.register_blueprint(clinic(ForeignToken()))

    assert ask(app, path="/clinic/").status_code == 500


def test_a_view_of_a_protected_blueprint_may_ask_for_more(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token, blueprint = ForeignToken(), Blueprint("clinic", __name__)
    foreign_token.protect(blueprint)
    blueprint.add_url_rule("/write", "write", require_policy(scope="write")(lambda: "in"))
    app = make_app(trusting_a_secret(ANN), foreign_token)
    app.register_blueprint(blueprint)

    assert ask(app, secret_token(issuer, sub="ann", scope="write"), "/write").status_code == 200
    assert ask(app, secret_token(issuer, sub="ann", scope="read"), "/write").status_code == 403


# ---- the whole app


@pytest.mark.parametrize(("protect", "expected"), [("all", GUARDED), (None, OPEN)])
def test_protect_all_guards_every_view_of_the_app(
    make_app: MakeApp, issuer: Issuer, protect: str | None, expected: tuple[int, int, int]
) -> None:
    app = make_app(trusting_a_secret(ANN), FOREIGN_TOKEN_PROTECT=protect)
    app.add_url_rule("/later", view_func=Cards.as_view("later"))

    assert statuses(app, issuer, "/open") == expected
    assert statuses(app, issuer, "/later") == expected


NOT_LOOKED_AT = [
    ("/open", "OPTIONS", 200),
    ("/patients", "OPTIONS", 200),
    ("/static/style.css", "GET", 200),
    ("/nowhere", "GET", 404),
]


@pytest.mark.parametrize("protect", ["all", None])
@pytest.mark.parametrize(("path", "method", "status"), NOT_LOOKED_AT)
def test_options_static_files_and_unmatched_urls_are_not_looked_at(
    make_app: MakeApp, issuer: Issuer, protect: str | None, path: str, method: str, status: int
) -> None:
    app = make_app(trusting_a_secret(ANN), FOREIGN_TOKEN_PROTECT=protect)
    (Path(app.root_path) / "static").mkdir()
    (Path(app.root_path) / "static" / "style.css").write_text("a {}")

    answers = [ask(app, token, path, method) for token in ("wrong", secret_token(issuer, sub="bob"), None)]

    assert [answer.status_code for answer in answers] == [status] * 3


# ---- kinds of views


class Decorated(View):
    decorators = (require_policy,)

    def dispatch_request(self) -> str:
        return "in"


class DecoratedWithName(MethodView):
    decorators = (require_policy("ann"),)

    def get(self) -> str:
        return "in"


class OneMethod(MethodView):
    init_every_request = False

    @require_policy
    def get(self) -> str:
        return str(g.token.subject)

    @require_policy(scope="write")
    def post(self) -> str:
        return "written"

    def put(self) -> str:
        return "open"


@pytest.mark.parametrize("view", [Decorated, DecoratedWithName, OneMethod])
def test_class_based_views_are_guarded(make_app: MakeApp, issuer: Issuer, view: type[View]) -> None:
    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/class", view_func=view.as_view("class_based"))

    assert statuses(app, issuer, "/class") == GUARDED


def test_a_guard_on_one_method_of_a_class_is_that_methods(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/class", view_func=OneMethod.as_view("class_based"))

    assert statuses(app, issuer, "/class", "PUT") == OPEN
    assert statuses(app, issuer, "/class", "POST") == (403, 403, 401)
    assert ask(app, secret_token(issuer, sub="ann", scope="write"), "/class", "POST").text == "written"


@pytest.mark.parametrize("protect", [True, False])
def test_async_views_are_guarded_and_see_the_user(make_app: MakeApp, issuer: Issuer, protect: bool) -> None:
    app = make_app(trusting_a_secret(ANN), FOREIGN_TOKEN_PROTECT="all" if protect else None)

    async def asynchronous() -> dict[str, object]:
        return {"user": key_of(g.user), "subject": g.token.subject}

    app.add_url_rule("/async", "asynchronous", asynchronous if protect else require_policy(asynchronous))

    assert statuses(app, issuer, "/async") == GUARDED
    token = secret_token(issuer, sub="ann")
    assert ask(app, token, "/async").json == ask(app, token, "/me").json


def test_an_async_method_of_a_class_is_guarded(make_app: MakeApp, issuer: Issuer) -> None:
    class Asynchronous(MethodView):
        @require_policy
        async def get(self) -> str:
            return "in"

    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/async", view_func=Asynchronous.as_view("asynchronous"))

    assert statuses(app, issuer, "/async") == GUARDED


def test_a_streamed_answer_sees_user_and_token_to_its_end(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN))

    @app.get("/stream")
    @require_policy
    def stream() -> Response:
        @stream_with_context
        def lines() -> Iterator[str]:
            yield f"{g.token.subject}\n"
            yield f"{key_of(g.user)}\n"

        return Response(lines(), mimetype="text/plain")

    token = secret_token(issuer, sub="ann")
    assert statuses(app, issuer, "/stream") == GUARDED
    assert ask(app, token, "/stream").text == f"ann\n{ask(app, token, '/me').json['user']}\n"


@pytest.mark.requirement("RFC 9110", "9.3.2")
def test_head_is_decided_as_get(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(GET_ONLY))

    answers = [ask(app, secret_token(issuer, sub=who), method="HEAD") for who in ("ann", "bob")]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert [answer.data for answer in answers] == [b"", b""]


def test_the_name_and_the_text_of_a_guarded_view_stay() -> None:
    @require_policy(scope="read")
    def patients() -> str:
        """All of them."""
        return ""

    assert (patients.__name__, patients.__doc__) == ("patients", "All of them.")


def wrapped(view: Callable[..., str]) -> Callable[..., str]:
    """Another decorator of the app's, as they are mostly written."""

    @functools.wraps(view)
    def wrapper(*arguments: object, **named: object) -> str:
        return view(*arguments, **named)

    return wrapper


def hiding(view: Callable[..., str]) -> Callable[..., str]:
    """One that forgets what it wraps."""

    def wrapper(*arguments: object, **named: object) -> str:
        return view(*arguments, **named)

    return wrapper


STACKS: dict[str, Guard] = {
    "another outside": lambda view: wrapped(require_policy(view)),
    "another inside": lambda view: require_policy(wrapped(view)),
    "one that hides outside": lambda view: hiding(require_policy(view)),
    "one that hides inside": lambda view: require_policy(hiding(view)),
    "two guards": lambda view: require_policy(require_policy("ann")(view)),
    "a call from another view": lambda view: lambda: require_policy(view)(),
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_a_guard_holds_among_other_decorators(make_app: MakeApp, issuer: Issuer, stack: Guard) -> None:
    app = make_app(trusting_a_secret(ANN))
    app.add_url_rule("/stacked", "stacked", stack(lambda: "in"))

    assert statuses(app, issuer, "/stacked") == GUARDED


def test_one_guard_serves_two_routes(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(ANN))

    @app.get("/first", endpoint="first")
    @app.get("/second", endpoint="second")
    @require_policy
    def both() -> str:
        return "in"

    assert [statuses(app, issuer, path) for path in ("/first", "/second")] == [GUARDED, GUARDED]


# ---- open views


@pytest.mark.parametrize(("optional", "status"), [(False, 401), (True, 200)])
@pytest.mark.parametrize("wrong", ["not-a-token", "a.b.c"])
def test_a_wrong_token_is_refused_at_open_views_unless_it_is_optional(
    make_app: MakeApp, optional: bool, status: int, wrong: str
) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_OPTIONAL=optional)

    assert ask(app, wrong, "/open").status_code == status
    assert ask(app, wrong, "/patients").status_code == 401
    assert ask(app, None, "/open").status_code == 200


def test_a_wrong_token_that_is_optional_stands_for_nobody(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_OPTIONAL=True)

    assert ask(app, secret_token(issuer, lifetime=-3600), "/open").json == {"user": None, "subject": None}
    assert ask(app, secret_token(issuer, sub="ann"), "/open").json["subject"] == "ann"


def test_optional_opens_nothing_that_protect_covers(make_app: MakeApp) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_OPTIONAL=True, FOREIGN_TOKEN_PROTECT="all")

    assert ask(app, "wrong", "/open").status_code == 401
