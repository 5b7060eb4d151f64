"""Engines that other packages bring, found by their entry points."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.engines import BUILT_IN, GROUP, installed
from flask_foreign_token.testing import Issuer

from ..admin.asking import ADMIN, operate
from ..apps import Resource, ask, policy, registry_of, secret_token, store, trusting_a_secret, write_registry
from ..cli.commands import refused, run, written
from ..conftest import MakeApp

Install = Callable[..., None]

CODE = dedent(
    '''
    import sys

    from flask_foreign_token.policies.condition import Condition, Equality, Mismatch
    from flask_foreign_token.errors import Rejected

    class Subject(Condition):
        """That the token speaks of somebody."""

        def __init__(self, subject):
            self.subject = subject

        def compile(self):
            return lambda view: view["jwt"]["sub"] == self.subject

    class Says(Condition):
        def __init__(self, answer):
            self.answer = answer

        def compile(self):
            def decide(view):
                if isinstance(self.answer, Exception):
                    raise self.answer
                return self.answer
            return decide

    class Cedar:
        def parse(self, policy, context):
            if set(policy) != {"cedar"} or not isinstance(policy["cedar"], str):
                raise Rejected.at("cedar", "say whom the token must speak of")
            return Subject(policy["cedar"])

    class Raises:
        def parse(self, policy, context):
            return Says(LookupError("ann@clinic.example"))

    class Yes:
        def parse(self, policy, context):
            return Says("yes")

    class Anything:
        def parse(self, policy, context):
            return Says(True)

    class Shy:
        def __init__(self):
            raise OSError("no licence")

    class Idle:
        pass

    class Ends:
        def __init__(self):
            sys.exit("no licence")

    class Lying:
        @property
        def parse(self):
            raise LookupError

    class Odd(Subject):
        """Sound, but for what it says when it is asked for `oddity`."""

        def __init__(self, oddity):
            super().__init__("bob")
            self.oddity = oddity

        def compile(self):
            if self.oddity == "compile ends":
                sys.exit(1)
            if self.oddity == "compile raises":
                raise LookupError
            return super().compile()

        @property
        def deterministic(self):
            if self.oddity == "deterministic raises":
                raise LookupError
            return False

        @property
        def reads(self):
            if self.oddity == "reads raises":
                raise LookupError
            return frozenset({"jwt"})

        def equalities(self):
            match self.oddity:
                case "equalities raises":
                    raise LookupError
                case "a group is none":
                    return [5]
                case "a step is a list":
                    return [(Equality(("jwt", ["x"]), 1),)]
                case "a group is a generator":
                    return (iter((Equality(("jwt", "sub"), who),)) for who in ("bob",))
            return ()

        def mismatches(self, view):
            class Unwritable:
                def __str__(self):
                    raise LookupError

            match self.oddity:
                case "mismatches are no Mismatch":
                    return ["jwt.sub", 5, None]
                case "a mismatch is no JSON":
                    endless = []
                    endless.append(endless)
                    values = {b"x": {1, 2}, "e": endless, "o": Unwritable(), "n": 10**5_000}
                    return [Mismatch(("jwt", b"sub", 1), values, Unwritable()), Mismatch(5, Unwritable, float("nan"))]
                case "mismatches without end":
                    return (Mismatch((), "x" * 9_000, "x") for _ in iter(int, 1))
                case "mismatches are none":
                    return None
                case "mismatches end":
                    sys.exit(1)
            return super().mismatches(view)

    class OddEngine:
        def parse(self, policy, context):
            if policy["odd"] == "parse ends":
                sys.exit(1)
            return Odd(policy["odd"])
    '''
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution that has engines, by name and what its entry point says."""

    def make(distribution: str = "clinic-engines", **engines: str) -> None:
        site = tmp_path / distribution
        module = distribution.replace("-", "_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(CODE, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value.format(module=module)}" for name, value in engines.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(str(site))

    yield make
    for name in [name for name in sys.modules if name.endswith("_engines") and "clinic" in name]:
        del sys.modules[name]


def of(engine: str, id_: str = "p", **attributes: object) -> Resource:
    return {"resourceType": "AccessPolicy", "id": id_, "engine": engine, **attributes}


def statuses(app: Flask, issuer: Issuer) -> tuple[int, ...]:
    return tuple(ask(app, secret_token(issuer, sub=name)).status_code for name in ("ann", "bob"))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


CEDAR = {"cedar": "{module}:Cedar"}


def test_an_engine_of_another_package_decides(make_app: MakeApp, issuer: Issuer, install: Install) -> None:
    install(**CEDAR)
    app = make_app(trusting_a_secret(of("cedar", cedar="ann")))

    assert statuses(app, issuer) == (200, 403)
    assert ask(app).status_code == 401


def test_it_decides_within_a_complex_policy_and_beside_a_role(
    make_app: MakeApp, issuer: Issuer, install: Install
) -> None:
    install(**CEDAR)
    either = [{"engine": "cedar", "cedar": "ann"}, {"engine": "matcho", "matcho": {"jwt": {"sub": "bob"}}}]
    app = make_app(trusting_a_secret(of("complex", **{"or": either})))
    narrowed = make_app(trusting_a_secret(of("cedar", cedar="ann", roleName="doctor")))

    assert statuses(app, issuer) == (200, 200)
    assert statuses(narrowed, issuer) == (403, 403)


def test_its_policies_are_saved_listed_and_shown_as_any_other(
    make_app: MakeApp, issuer: Issuer, install: Install, tmp_path: Path
) -> None:
    install(**CEDAR)
    app = make_app()
    store(app, trusting_a_secret(policy("never", {"jwt": {"sub": "nobody"}})))

    applied = run(app, "apply", written(tmp_path / "p.json", of("cedar", cedar="ann")))
    shown = run(app, "get", "AccessPolicy", "p", "--json")

    assert applied.exit_code == 0, applied.output
    assert json.loads(shown.stdout)["cedar"] == "ann"
    assert statuses(app, issuer) == (200, 403)


def test_what_it_refuses_is_refused_when_it_is_saved_with_the_path_and_the_reason(
    make_app: MakeApp, install: Install, tmp_path: Path
) -> None:
    install(**CEDAR)
    app = make_app()

    said = refused(app, "apply", written(tmp_path / "p.json", of("cedar", cedar=7)))

    assert "AccessPolicy/p cedar: say whom the token must speak of" in said


def test_once_its_package_is_gone_its_policies_are_out_of_service_and_the_others_go_on(
    make_app: MakeApp, issuer: Issuer
) -> None:
    foreign_token = ForeignToken()
    bob = policy("bob", {"jwt": {"sub": "bob"}})
    app = make_app(trusting_a_secret(of("cedar", cedar="ann"), bob), foreign_token)

    assert statuses(app, issuer) == (403, 200)
    with app.app_context(), pytest.raises(Rejected, match="AccessPolicy/p engine: there is no such engine"):
        foreign_token.check()


@pytest.mark.parametrize(
    ("value", "failure"),
    [
        ("no_such_module_of_the_clinic:Cedar", "cannot be loaded: ModuleNotFoundError"),
        ("{module}:Nothing", "cannot be loaded: AttributeError"),
        ("{module}:Shy", "cannot be loaded: OSError"),
        ("{module}:CODE_IS_NO_ENGINE", "cannot be loaded: AttributeError"),
        ("{module}:Idle", "has no method parse"),
        ("{module}:Ends", "cannot be loaded: SystemExit"),
        ("{module}:Lying", "cannot be loaded: LookupError"),
    ],
)
def test_one_that_cannot_be_loaded_is_logged_and_takes_no_other_engine_or_policy_with_it(
    make_app: MakeApp, issuer: Issuer, install: Install, caplog: pytest.LogCaptureFixture, value: str, failure: str
) -> None:
    install(broken=value, **CEDAR)
    app = make_app(trusting_a_secret(of("broken", broken="ann"), of("cedar", "bob", cedar="bob")))

    assert statuses(app, issuer) == (403, 200)
    [about_engine, about_policy] = errors(caplog)
    assert "the policy engine 'broken' of" in about_engine
    assert failure in about_engine
    assert "out of service: AccessPolicy/p engine" in about_policy


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_one_that_takes_the_name_of_ours_is_ignored_and_logged(
    install: Install, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    install(**{name: "{module}:Anything"}, **CEDAR)

    assert set(installed()) == {"cedar"}
    assert errors(caplog) == [
        f"the policy engine {name!r} of clinic_engines:Anything has the name of ours, and is left out"
    ]


def test_ours_goes_on_deciding_under_its_name(make_app: MakeApp, issuer: Issuer, install: Install) -> None:
    install(matcho="{module}:Anything")
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}})))

    assert statuses(app, issuer) == (200, 403)


def test_two_packages_that_bring_one_name_bring_none(
    make_app: MakeApp, issuer: Issuer, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(**CEDAR, sub="{module}:Cedar")
    install("other-clinic-engines", cedar="{module}:Anything")

    assert set(installed()) == {"sub"}
    assert len([line for line in errors(caplog) if "'cedar'" in line and "is there twice" in line]) == 2
    assert statuses(make_app(trusting_a_secret(of("cedar", cedar="ann"))), issuer) == (403, 403)


def test_a_condition_that_raises_denies_is_logged_once_and_tells_nothing_of_the_caller(
    make_app: MakeApp, issuer: Issuer, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(raises="{module}:Raises")
    app = make_app(trusting_a_secret(of("raises"), policy("bob", {"jwt": {"sub": "bob"}})))

    assert [statuses(app, issuer) for _ in range(3)] == [(403, 200)] * 3
    assert errors(caplog) == ["AccessPolicy/p does not allow what it cannot evaluate: LookupError"]


def test_a_condition_that_says_yes_has_not_said_true(make_app: MakeApp, issuer: Issuer, install: Install) -> None:
    install(yes="{module}:Yes", anything="{module}:Anything")

    assert statuses(make_app(trusting_a_secret(of("yes"))), issuer) == (403, 403)
    assert statuses(make_app(trusting_a_secret(of("anything"))), issuer) == (200, 200)
    both = of("complex", **{"or": [{"engine": "yes"}, {"engine": "yes"}]})
    assert statuses(make_app(trusting_a_secret(both)), issuer) == (403, 403)


def test_a_file_that_names_an_engine_is_read_again_when_it_changes(
    make_app: MakeApp, issuer: Issuer, install: Install
) -> None:
    install(**CEDAR)
    app = make_app(trusting_a_secret(of("cedar", cedar="ann")), FOREIGN_TOKEN_REGISTRY_POLL=0)
    before = statuses(app, issuer)

    write_registry(registry_of(app), trusting_a_secret(of("cedar", cedar="bob")))

    assert (before, statuses(app, issuer)) == ((200, 403), (403, 200))


ODD = {"odd": "{module}:OddEngine"}
FAILING = [
    "parse ends",
    "compile ends",
    "compile raises",
    "deterministic raises",
    "reads raises",
    "equalities raises",
    "a group is none",
]


@pytest.mark.parametrize("oddity", FAILING)
def test_a_policy_on_which_its_engine_fails_is_refused_and_out_of_service_and_no_other_with_it(
    make_app: MakeApp, issuer: Issuer, install: Install, caplog: pytest.LogCaptureFixture, oddity: str
) -> None:
    install(**ODD)
    ann = policy("ann", {"jwt": {"sub": "ann"}})
    in_file = make_app(trusting_a_secret(ann, of("odd", odd=oddity)))
    in_database = make_app(None, **ADMIN)
    store(in_database, trusting_a_secret(ann))

    body = {"request": {}, "policy": {"engine": "odd", "odd": oddity}}
    tried = operate(in_database, "POST", "/auth/test-policy", body)
    saved = operate(in_database, "PUT", "/AccessPolicy/p", of("odd", odd=oddity))
    revoked = operate(in_database, "PUT", "/AccessPolicy/ann", {**ann, "active": False})

    assert (tried.status_code, saved.status_code, revoked.status_code) == (422, 422, 200)
    assert any(name in tried.text for name in ("SystemExit", "LookupError", "TypeError"))
    assert (statuses(in_file, issuer), statuses(in_database, issuer)) == ((200, 403), (403, 403))
    [logged] = errors(caplog)
    assert "out of service: AccessPolicy/p" in logged


@pytest.mark.parametrize("oddity", ["a step is a list", "a group is a generator", "none"])
def test_equalities_by_which_a_policy_cannot_be_filed_do_not_keep_it_from_deciding(
    make_app: MakeApp, issuer: Issuer, install: Install, oddity: str
) -> None:
    install(**ODD)
    app = make_app(None, **ADMIN)
    store(app, trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}})))

    assert operate(app, "PUT", "/AccessPolicy/p", of("odd", odd=oddity)).status_code == 201
    assert statuses(app, issuer) == (200, 200)
    assert operate(app, "DELETE", "/AccessPolicy/ann").status_code == 204
    assert statuses(app, issuer) == (403, 200)


@pytest.mark.parametrize(
    ("oddity", "error"),
    [
        ("mismatches are no Mismatch", None),
        ("a mismatch is no JSON", None),
        ("mismatches without end", None),
        ("mismatches are none", "TypeError"),
        ("mismatches end", "SystemExit"),
    ],
)
def test_odd_mismatches_are_shown_as_far_as_they_can_be(
    make_app: MakeApp, issuer: Issuer, install: Install, oddity: str, error: str | None
) -> None:
    install(**ODD)
    app = make_app(trusting_a_secret(of("odd", odd=oddity)), **ADMIN, FOREIGN_TOKEN_DEV_MODE=True)
    ann = secret_token(issuer, sub="ann")

    body = {"request": {"jwt": {"sub": "ann"}}, "policy": {"engine": "odd", "odd": oddity}}
    tried = operate(app, "POST", "/auth/test-policy", body)
    shown = ask(app, ann, "/patients?__debug=policy")
    logged = ask(app, ann, headers={"X-Debug": "policy"})

    assert (tried.status_code, shown.status_code, logged.status_code) == (200, 200, 403)
    assert tried.json["result"].get("error") == error == shown.json["policies"][0]["error"]
    assert len(tried.json["result"]["mismatches"]) <= 100
    assert len(tried.text) < 50_000
    assert isinstance(run(app, "explain", "GET", "/patients", "--token", ann).exception, SystemExit)
