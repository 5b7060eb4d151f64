"""What Prometheus is told: the same as `stats`, of one process or of all workers, and nothing about anybody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.metrics import METRICS
from flask_foreign_token.prometheus import MULTIPROC_DIR, PREFIX, export
from flask_foreign_token.stats import stats
from flask_foreign_token.testing import Issuer

from .admin.asking import ADMIN, basic, operate
from .apps import (
    ask,
    bearer,
    environment,
    policy,
    registry_of,
    secret_token,
    trusting,
    trusting_a_secret,
    write_registry,
)
from .conftest import MakeApp
from .integration.servers import missing, program

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples_in(text: str) -> Samples:
    """The value of each series, by its name and its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def expected(found: Mapping[str, Any]) -> Samples:
    """The same, as `stats` has it."""
    samples: Samples = {}
    for name, series in found.items():
        for each in series:
            labels = tuple(sorted(each["labels"].items()))
            if "value" in each:
                samples[PREFIX + name, labels] = each["value"]
                continue
            samples[f"{PREFIX}{name}_count", labels] = each["count"]
            samples[f"{PREFIX}{name}_sum", labels] = each["sum"]
            for bound, number in each["buckets"].items():
                samples[f"{PREFIX}{name}_bucket", tuple(sorted([*labels, ("le", bound)]))] = number
    return samples


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MULTIPROC_DIR, raising=False)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def app(make_app: MakeApp, registry: CollectorRegistry) -> Flask:
    """Tells Prometheus at ``/metrics``, and keeps its tokens' secret."""
    extension = ForeignToken()
    app = make_app(trusting_a_secret(policy("readers", {"jwt": {"role": "reader"}})), extension, **ADMIN)
    app.add_url_rule("/metrics", "metrics", export(extension, app, registry=registry))
    return app


# ---- one process


def test_what_is_exported_is_what_the_app_says_of_itself(app: Flask, issuer: Issuer) -> None:
    for token in (secret_token(issuer, role="reader"), secret_token(issuer), "wrong", None):
        ask(app, token)
    found = stats(app.extensions["foreign_token"])

    answer = ask(app, None, "/metrics")

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    assert samples_in(answer.text) == expected(found)


def test_every_number_is_described(app: Flask, registry: CollectorRegistry) -> None:
    described = dict(re.findall(r"^# HELP (\S+) (.+)$", generate_latest(registry).decode(), re.MULTILINE))

    assert described == {PREFIX + metric.name: metric.help for metric in METRICS}


def test_openmetrics_is_told_to_who_asks_for_it(app: Flask) -> None:
    ask(app)

    answer = ask(app, None, "/metrics", headers={"Accept": OPENMETRICS})

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=a.b", "text/plain;version=x;escaping=y", "*"])
def test_whoever_asks_for_what_there_is_not_gets_the_text(app: Flask, accept: str) -> None:
    answer = ask(app, None, "/metrics", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_the_view_can_be_guarded(make_app: MakeApp, registry: CollectorRegistry, issuer: Issuer) -> None:
    extension = ForeignToken()
    app = make_app(trusting_a_secret(policy("scraper", {"jwt": {"client_id": "prometheus"}})), extension)
    app.add_url_rule("/metrics", "metrics", require_policy("scraper")(export(extension, app, registry=registry)))

    statuses = [
        ask(app, token, "/metrics").status_code
        for token in (None, secret_token(issuer), secret_token(issuer, client_id="prometheus"))
    ]

    assert statuses == [401, 403, 200]


def test_a_registry_takes_the_numbers_of_one_app(app: Flask, make_app: MakeApp, registry: CollectorRegistry) -> None:
    extension = ForeignToken()
    other = make_app([policy("all")], extension)

    with pytest.raises(ValueError, match="Duplicated"):
        export(extension, other, registry=registry)

    export(extension, other, registry=CollectorRegistry())


def test_an_app_that_was_never_asked_can_be_scraped(app: Flask) -> None:
    assert ask(app, None, "/metrics").status_code == 200


def test_a_scrape_of_an_app_without_its_database_says_so(make_app: MakeApp, tmp_path: Path) -> None:
    extension, registry = ForeignToken(), CollectorRegistry()
    app = make_app(None, extension, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/absent/app.db")
    app.add_url_rule("/metrics", "metrics", export(extension, app, registry=registry))
    ask(app)

    found = samples_in(ask(app, None, "/metrics").text)

    assert found[f"{PREFIX}registry_state", (("state", "ready"),)] == 0
    assert found[f"{PREFIX}registry_state", (("state", "reachable"),)] == 0


def test_keys_of_an_introspector_that_is_gone_are_told_no_more(make_app: MakeApp, own_issuer: Issuer) -> None:
    extension, registry = ForeignToken(), CollectorRegistry()
    app = make_app(trusting(own_issuer), extension, FOREIGN_TOKEN_REGISTRY_POLL=0)
    export(extension, app, registry=registry)
    ask(app, own_issuer.token())
    before = generate_latest(registry).decode()

    write_registry(registry_of(app), [policy("all")])
    ask(app)

    assert f'{PREFIX}keys{{introspector="keycloak-jwt"}}' in before
    assert f"{PREFIX}keys{{" not in generate_latest(registry).decode()


def test_whoever_does_not_export_does_not_load_the_client() -> None:
    script = "import sys, flask_foreign_token; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


# ---- nothing about anybody


def test_nothing_that_a_request_says_is_told(make_app: MakeApp, own_issuer: Issuer) -> None:
    extension, registry = ForeignToken(), CollectorRegistry()
    (opaque,) = (body for body in own_issuer.resources(kind="opaque") if body["resourceType"] == "TokenIntrospector")
    opaque = {**opaque, "jwt": {"aud": "account"}}
    asked = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint}
    resources = trusting(own_issuer, policy("readers", {"jwt": {"role": "reader-role"}}), **asked)
    app = make_app([*resources, opaque], extension, **ADMIN)
    said = {"sub": "ann-the-subject", "email": "ann@example.org", "name": "Ann Example", "client_id": "client-of-ann"}
    tokens = [
        own_issuer.token(**said, role="reader-role"),
        own_issuer.token(**said, role="gardener-role"),
        own_issuer.token(**said, lifetime=-3600),
        own_issuer.token(**said, aud="another-audience"),
        own_issuer.token(**{**said, "iss": "https://foreign.example"}),
        own_issuer.token(**said, headers={"kid": "key-of-nobody"}),
        own_issuer.opaque_token(**said),
        "wr.on.g-token",
        "opaque-token-of-nobody",
    ]

    for path in ("/patients", "/me?access_token=another-token", "/path-of-nobody", "/fhir/User/user-of-nobody"):
        for token in tokens:
            ask(app, token, path, environ_base={"REMOTE_ADDR": "192.0.2.77"}, headers={"X-Said": "header-of-ann"})
    operate(app, "GET", "/AccessPolicy/policy-of-nobody")
    ask(app, None, "/fhir/User", headers=basic(name="operator-of-nobody", password="a password of nobody"))
    with own_issuer.fail("introspection", 500):
        ask(app, own_issuer.opaque_token(**said, jti="later"))
    users = [ask(app, tokens[0], "/me").json["user"]]

    text = generate_latest(registry).decode() + json.dumps(extension.stats(app))
    export(extension, app, registry=registry)
    text += generate_latest(registry).decode()
    telling = [
        *said.values(),
        *tokens,
        *users,
        own_issuer.issuer,
        own_issuer.jwks_uri,
        "127.0.0.1",
        "192.0.2.77",
        "reader-role",
        "gardener-role",
        "another",
        "of-nobody",
        "of nobody",
        "of-ann",
        "foreign.example",
    ]
    assert 'error="invalid_token"' in text
    assert 'error="temporarily_unavailable"' in text
    assert [value for value in telling if value in text] == []


# ---- several processes

COUNTING = """
import os, sys
from flask import Flask
from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.prometheus import export

app = Flask("clinic", root_path=sys.argv[1], instance_path=sys.argv[1])
app.config["FOREIGN_TOKEN_REGISTRY"] = "registry.json"
foreign_token = ForeignToken(app)
app.add_url_rule("/metrics", "metrics", export(foreign_token))
app.add_url_rule("/patients", "patients", require_policy(lambda: "in"))

def ask(times, path="/patients"):
    for _ in range(times):
        answer = app.test_client().get(path)
    return answer
"""
TWO = """
ask(2)                                       # as a process that forks workers may, before it does
if (child := os.fork()) == 0:
    ask(3)
    os._exit(0)
os.waitpid(child, 0)
if (child := os.fork()) == 0:
    from prometheus_client.multiprocess import mark_process_dead
    ask(5)
    mark_process_dead(os.getpid())
    os._exit(0)
os.waitpid(child, 0)
print(ask(1, "/metrics").text)
"""
GONE = """
import json
ask(1)
registry = os.path.join(sys.argv[1], "registry.json")
with open(registry) as file:
    resources = json.load(file)
with open(registry, "w") as file:
    json.dump(resources[-1:], file)
app.extensions["foreign_token"].runtime().registry.refresh()
print(ask(1, "/metrics").text)
"""
FAILING = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
ask(2)
sys.stdout.flush()
if (child := os.fork()) == 0:
    in_the_way = os.path.join(os.environ["PROMETHEUS_MULTIPROC_DIR"], f"KIND_{os.getpid()}.db")
    os.mkdir(in_the_way)
    statuses = {ask(1).status_code for _ in range(3)}
    os.rmdir(in_the_way)
    allowed = foreign_token.stats(app)["decisions_total"][0]["value"]
    print(f"# {statuses} {allowed} {ask(1, '/metrics').status_code}", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(ask(1, "/metrics").text)
"""


def said_by(folder: Path, script: str, resources: list[Any]) -> str:
    """What a process says that runs `script` with the variable for several workers."""
    files = folder / "files"
    files.mkdir()
    write_registry(folder / "registry.json", resources)
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", COUNTING + script, str(folder)],
        env=environment(**{MULTIPROC_DIR: str(files)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_several_processes_are_told_of_together(tmp_path: Path) -> None:
    found = samples_in(said_by(tmp_path, TWO, [policy("all")]))

    allowed = (("error", "none"), ("outcome", "allowed"), ("status", "none"))
    assert found[f"{PREFIX}decisions_total", allowed] == 10
    assert found[f"{PREFIX}registry_look_seconds_count", (("result", "changed"),)] == 3
    assert found[f"{PREFIX}registry_look_seconds_bucket", (("le", "+Inf"), ("result", "changed"))] == 3
    assert found[f"{PREFIX}registry_resources", (("type", "AccessPolicy"),)] == 1
    assert found[f"{PREFIX}registry_state", (("state", "ready"),)] == 1
    assert found[f"{PREFIX}registry_looked_timestamp_seconds", ()] > 0
    assert {name for name, labels in found if "pid" in dict(labels)} == set()


def test_in_files_the_keys_of_an_introspector_that_is_gone_are_none(tmp_path: Path) -> None:
    remote = {"jwks_uri": "https://idp.example/keys"}
    resources = [
        {"resourceType": "TokenIntrospector", "id": "gone", "type": "jwt", "jwt": {"iss": "i", "aud": "a"}, **remote},
        policy("all"),
    ]

    found = samples_in(said_by(tmp_path, GONE, resources))

    assert found[f"{PREFIX}keys_failing", (("introspector", "gone"),)] == 0
    assert found[f"{PREFIX}registry_resources", (("type", "TokenIntrospector"),)] == 0


@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge_livesum"])
def test_a_worker_that_cannot_write_its_files_serves_on_and_says_so_once(tmp_path: Path, kind: str) -> None:
    lines = said_by(tmp_path, FAILING.replace("KIND", kind), [policy("all")]).splitlines()

    begin = lines.index("# {200} 3 503")
    told = samples_in("\n".join(lines[begin + 1 :]) + "\n")
    (error,) = (line for line in lines[:begin] if line.startswith("ERROR"))
    assert error.startswith("ERROR flask_foreign_token.counting: flask_foreign_token.prometheus gets the numbers of ")
    assert error.endswith("raised IsADirectoryError")
    assert told[f"{PREFIX}decisions_total", (("error", "none"), ("outcome", "allowed"), ("status", "none"))] >= 2


# ---- promtool


def test_promtool_finds_nothing_to_object_to(app: Flask, issuer: Issuer) -> None:
    promtool = program("promtool")
    if promtool is None:
        missing("promtool is not installed; `make test SERVERS=apt` installs it")
    for token in (secret_token(issuer, role="reader"), "wrong", None):
        ask(app, token)

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=ask(app, None, "/metrics").text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_token_in_a_query_is_not_told(app: Flask) -> None:
    ask(app, None, "/metrics?access_token=telling", headers=bearer("telling"))

    assert "telling" not in ask(app, None, "/metrics").text
