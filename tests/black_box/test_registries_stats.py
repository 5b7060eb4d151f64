"""Numbers as plain Python, and for Prometheus; never with anything of a user."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.testing import Issuer

from ..apps import ask, environment, policy, registry_of, trusting, write_registry
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, operate, put_all
from .registries import AT_ONCE

SUBJECT, ADDRESS, CLIENT = "a-subject-of-note", "note@example.com", "a-client-of-note"


@pytest.fixture
def counted(make_app: MakeApp, own_issuer: Issuer) -> tuple[Flask, ForeignToken]:
    extension = ForeignToken()
    app = make_app(trusting(own_issuer), extension, **OPERATOR_SETTINGS, **AT_ONCE)
    return app, extension


def stats(counted: tuple[Flask, ForeignToken]) -> Mapping[str, Any]:
    app, extension = counted
    with app.app_context():
        return extension.stats()


def numbers(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from numbers(member, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for number, member in enumerate(value):
            yield from numbers(member, (*path, str(number)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def moved(counted: tuple[Flask, ForeignToken], work: Any) -> dict[str, float]:
    """By how much each number differs after `work`, by its path."""
    before = dict(numbers(stats(counted)))
    work()
    after = dict(numbers(stats(counted)))
    return {
        "/".join(path): value - before.get(path, 0) for path, value in after.items() if value != before.get(path, 0)
    }


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and plain(member) for name, member in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in {str, int, float, bool}


def test_they_are_plain_python(counted, own_issuer: Issuer):
    app, _ = counted
    ask(app, own_issuer.token())

    said = stats(counted)

    assert type(said) is dict
    assert plain(said), said
    json.dumps(said)


def test_there_are_some_before_the_first_request(counted):
    assert isinstance(stats(counted), dict)


def test_what_they_said_before_is_not_changed_afterwards(counted, own_issuer: Issuer):
    app, _ = counted
    before = stats(counted)
    copy = json.dumps(before)

    ask(app, own_issuer.token())

    assert json.dumps(before) == copy


def test_a_request_that_is_allowed_is_counted(counted, own_issuer: Issuer):
    app, _ = counted
    token = own_issuer.token()
    ask(app, token)

    assert 3 in moved(counted, lambda: [ask(app, token) for _ in range(3)]).values()


REFUSALS = {
    "anonymous": (lambda issuer: None, "401"),
    "forged": (lambda issuer: issuer.token()[:-6] + "AAAAAA", "401"),
    "of nobody": (lambda issuer: issuer.token(iss="https://nobody.example"), "401"),
    "expired": (lambda issuer: issuer.token(lifetime=-3600), "401"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_counted_with_its_status(counted, own_issuer: Issuer, name: str):
    app, _ = counted
    made, status = REFUSALS[name]
    token = made(own_issuer)

    changes = moved(counted, lambda: [ask(app, token) for _ in range(4)])

    assert [path for path, by in changes.items() if by == 4], changes
    assert status in json.dumps(stats(counted))


def test_a_denial_by_policies_is_counted(counted, own_issuer: Issuer):
    app, _ = counted
    write_registry(registry_of(app), trusting(own_issuer, policy("nobody", {"jwt": {"sub": "nobody"}})))
    token = own_issuer.token()
    ask(app, token)

    changes = moved(counted, lambda: [ask(app, token) for _ in range(4)])

    assert 4 in changes.values(), changes
    assert "403" in json.dumps(stats(counted))


def test_a_fetch_of_keys_is_counted(counted, own_issuer: Issuer):
    app, _ = counted

    changes = moved(counted, lambda: ask(app, own_issuer.token()))

    assert [path for path in changes if "fetch" in path or "key" in path or "jwks" in path], changes


def test_a_change_of_the_registry_is_counted(counted, own_issuer: Issuer):
    app, _ = counted
    ask(app, own_issuer.token())

    def change() -> None:
        write_registry(registry_of(app), trusting(own_issuer, policy("other", {"uri": "/x"})))
        ask(app, own_issuer.token())

    assert [path for path in moved(counted, change) if "registry" in path]


def test_nothing_of_a_user_or_a_request_is_in_them(counted, own_issuer: Issuer):
    app, _ = counted
    claims = {"sub": SUBJECT, "email": ADDRESS, "azp": CLIENT, "client_id": CLIENT}
    token = own_issuer.token(**claims)
    remote = {"REMOTE_ADDR": "203.0.113.77"}
    ask(app, token, "/me?patient=a-query-of-note", environ_overrides=remote)
    user = ask(app, token, "/me").json["user"]
    ask(app, token + "x", environ_overrides=remote)
    ask(app, own_issuer.token(iss="https://an-issuer-of-note.example"))
    ask(app, token, "/no/such/path-of-note")
    operate(app, "GET", "/fhir/User/an-id-of-note")

    said = json.dumps(stats(counted))

    secrets = [SUBJECT, ADDRESS, CLIENT, token, token.split(".")[2], user, "203.0.113.77", own_issuer.url]
    for text in [
        *secrets,
        "a-query-of-note",
        "an-issuer-of-note",
        "path-of-note",
        "an-id-of-note",
        "/patients",
        "testuser",
    ]:
        assert text not in said


def test_what_callers_make_up_does_not_make_them_grow(counted, own_issuer: Issuer):
    app, _ = counted

    def ask_of(number: int) -> None:
        ask(app, own_issuer.token(sub=f"s{number}", iss=f"https://i{number}.example", azp=f"c{number}"))
        ask(app, own_issuer.token(sub=f"s{number}", headers={"kid": f"k{number}"}), f"/p{number}")
        ask(app, f"junk{number}", "/patients", headers={"X-A": str(number)})
        app.test_client().open("/patients", method=f"M{number}")

    ask_of(0)
    before = len(list(numbers(stats(counted))))
    for number in range(1, 12):
        ask_of(number)

    assert len(list(numbers(stats(counted)))) <= before + 3


def test_two_apps_of_one_extension_count_for_themselves(make_app: MakeApp, own_issuer: Issuer):
    extension = ForeignToken()
    first, second = (make_app(trusting(own_issuer), extension) for _ in range(2))
    token = own_issuer.token()
    before = json.dumps(stats((second, extension)))

    ask(first, token)

    assert json.dumps(stats((second, extension))) == before
    assert json.dumps(stats((first, extension))) != before


def test_the_probes_of_health_count_no_refusal(counted):
    app, _ = counted
    app.test_client().get("/fhir/health/ready")

    changes = moved(counted, lambda: [app.test_client().get("/fhir/health/live") for _ in range(5)])

    assert 5 not in changes.values(), changes


DOCUMENTED = {
    "decisions_total",
    "tokens_total",
    "token_seconds",
    "users_total",
    "fetch_seconds",
    "shared_cache_total",
    "registry_look_seconds",
    "registry_state",
    "registry_looked_timestamp_seconds",
    "registry_resources",
    "registry_out_of_service",
    "cached",
    "keys",
    "keys_fetched_timestamp_seconds",
    "keys_due_timestamp_seconds",
    "keys_failing",
}


def test_their_names_are_those_of_the_docs(counted, own_issuer: Issuer):
    app, _ = counted
    ask(app, own_issuer.token())

    assert set(stats(counted)) == DOCUMENTED


def value(counted: tuple[Flask, ForeignToken], name: str, **labels: str) -> float:
    found = [series for series in stats(counted)[name] if series["labels"].items() >= labels.items()]
    return sum(series.get("value", series.get("count")) for series in found)


def test_what_becomes_of_tokens_is_counted_by_introspector(counted, own_issuer: Issuer):
    app, _ = counted
    token = own_issuer.token()
    for _ in range(3):
        ask(app, token)
    ask(app, own_issuer.token(lifetime=-3600))
    ask(app, own_issuer.token(iss="https://nobody.example"))

    def results(introspector: str) -> list[float]:
        return [
            value(counted, "tokens_total", result=result, introspector=introspector)
            for result in ("accepted", "remembered", "refused")
        ]

    assert results("keycloak-jwt") == [1, 2, 1]
    assert results("none") == [0, 0, 1]


def test_an_outage_is_counted_as_one(counted, own_issuer: Issuer):
    app, _ = counted
    with own_issuer.down():
        ask(app, own_issuer.token())

    assert value(counted, "tokens_total", result="unavailable") == 1
    assert value(counted, "decisions_total", outcome="refused", status="503") == 1
    assert value(counted, "fetch_seconds", kind="keys", result="failed") == 1
    assert value(counted, "keys_failing") == 1


def test_users_and_fetches_are_counted(counted, own_issuer: Issuer):
    app, _ = counted
    for number in range(3):
        ask(app, own_issuer.token(sub=f"s{number}"))

    assert value(counted, "users_total", event="created") == 3
    assert value(counted, "fetch_seconds", kind="keys", result="ok") == 1
    assert value(counted, "keys", introspector="keycloak-jwt") >= 1


def test_what_is_rejected_and_out_of_service_is_counted(counted, own_issuer: Issuer):
    app, _ = counted
    ask(app, own_issuer.token())
    write_registry(registry_of(app), "{")
    ask(app, own_issuer.token())
    assert value(counted, "registry_look_seconds", result="rejected") >= 1
    assert value(counted, "registry_state", state="in_force") == 1

    write_registry(registry_of(app), [*trusting(own_issuer), policy("bad", engine="mathco")])
    ask(app, own_issuer.token())
    assert value(counted, "registry_out_of_service", type="AccessPolicy") == 1


# ---- Prometheus


@pytest.fixture
def scraped(make_app: MakeApp, own_issuer: Issuer):
    """An app whose numbers Prometheus' client has, and how it is asked for them."""
    prometheus = pytest.importorskip("prometheus_client")
    from flask_foreign_token.prometheus import export

    extension = ForeignToken()
    app = make_app(trusting(own_issuer), extension, **OPERATOR_SETTINGS, **AT_ONCE)
    with app.app_context():
        app.add_url_rule("/metrics", "metrics", export(extension, registry=prometheus.CollectorRegistry()))
    return (app, extension), lambda: app.test_client().get("/metrics").get_data(as_text=True)


def test_prometheus_is_told_the_same(scraped, own_issuer: Issuer):
    from prometheus_client.parser import text_string_to_metric_families

    counted, scrape = scraped
    app, _ = counted
    token = own_issuer.token(sub=SUBJECT, email=ADDRESS, azp=CLIENT)
    for _ in range(3):
        ask(app, token, environ_overrides={"REMOTE_ADDR": "203.0.113.77"})

    said = scrape()

    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }
    key = (("introspector", "keycloak-jwt"), ("result", "remembered"))
    assert samples["foreign_token_tokens_total", key] == value(counted, "tokens_total", result="remembered") == 2
    for text in (SUBJECT, ADDRESS, CLIENT, token, "203.0.113.77", own_issuer.url, "/patients"):
        assert text not in said


def test_prometheus_is_told_every_number_with_a_prefix(scraped, own_issuer: Issuer):
    counted, scrape = scraped
    ask(counted[0], own_issuer.token())

    said = scrape()

    for name in DOCUMENTED:
        assert f"foreign_token_{name}" in said


def test_a_scrape_looks_at_nothing(scraped, own_issuer: Issuer):
    counted, scrape = scraped
    before = value(counted, "registry_look_seconds")

    scrape()

    assert value(counted, "registry_look_seconds") == before
    assert sum(own_issuer.requests.values()) == 0


def test_the_package_works_without_prometheus_client(tmp_path: Path):
    program = """
import sys
sys.modules["prometheus_client"] = None
from flask import Flask
from flask_foreign_token import ForeignToken
app = Flask("x", instance_path=sys.argv[1])
app.config["FOREIGN_TOKEN_ADMIN_URL_PREFIX"] = "/fhir"
extension = ForeignToken(app)
with app.app_context():
    assert isinstance(extension.stats(), dict)
print(app.test_client().get("/fhir/health/live").status_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.strip() == "200", done.stderr


def test_numbers_of_a_database_registry_move_too(make_app: MakeApp, own_issuer: Issuer):
    extension = ForeignToken()
    app = make_app(None, extension, **OPERATOR_SETTINGS, **AT_ONCE)
    put_all(app, trusting(own_issuer))

    assert moved((app, extension), lambda: ask(app, own_issuer.token()))
