"""Prometheus scrapes gunicorn, whichever worker it reaches, and knows of every request."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from flask_foreign_token.metrics import METRICS
from flask_foreign_token.prometheus import MULTIPROC_DIR, PREFIX
from flask_foreign_token.testing import Issuer

from ..apps import bearer, policy, trusting, write_registry
from ..docs.pages import ROOT
from . import servers
from .servers import missing, program
from .serving import served
from .waiting import until

WSGI = """
import os
from flask import Flask, g
from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.prometheus import export

app = Flask(__name__)
foreign_token = ForeignToken(app)
app.add_url_rule("/metrics", "metrics", export(foreign_token))
if "CHECKED" in os.environ:
    foreign_token.check()

@app.get("/me")
@require_policy
def me():
    return {"pid": os.getpid()}
"""
CONFIGURATION = """
from prometheus_client import multiprocess

def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""


@pytest.fixture
def settings(tmp_path: Path, own_issuer: Issuer) -> dict[str, str]:
    """The environment of an app in `tmp_path` that trusts `own_issuer`."""
    (tmp_path / "wsgi.py").write_text(WSGI)
    (tmp_path / "gunicorn.conf.py").write_text(CONFIGURATION)
    files = tmp_path / "files"
    files.mkdir()
    write_registry(tmp_path / "registry.json", trusting(own_issuer, policy("ann", {"jwt": {"sub": "ann"}})))
    return {"FOREIGN_TOKEN_REGISTRY": "registry.json", MULTIPROC_DIR: str(files)}


def get(address: str, token: str | None) -> requests.Response:
    return requests.get(f"{address}/me", headers=bearer(token), timeout=30)


def values(prometheus: str, query: str) -> dict[tuple[str, ...], float]:
    """What Prometheus answers to a query, by the values of the labels that it has grouped by, sorted by their names."""
    answer = requests.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30).json()
    assert answer["status"] == "success", answer
    return {
        tuple(value for _, value in sorted(each["metric"].items())): float(each["value"][1])
        for each in answer["data"]["result"]
    }


@pytest.mark.parametrize("checked", [False, True], ids=["loaded", "checked"])
def test_the_sums_over_two_workers_are_the_requests_that_were_sent(
    tmp_path: Path, own_issuer: Issuer, settings: dict[str, str], checked: bool
) -> None:
    ann, bob = (own_issuer.token(sub=name) for name in ("ann", "bob"))
    variables = {**settings, **({"CHECKED": "1"} if checked else {})}

    with served(tmp_path, **variables) as address, servers.prometheus(address.removeprefix("http://")) as prometheus:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda token: get(address, token), [ann, bob, "wrong", None] * 25))
        while len({answer.json()["pid"] for answer in answers if answer.ok}) < 2 and len(answers) < 1000:
            answers.append(get(address, ann))
        sent = Counter(str(answer.status_code) if not answer.ok else "none" for answer in answers)
        expected = {(status,): float(number) for status, number in sent.items()}

        def decided() -> dict[tuple[str, ...], float]:
            return values(prometheus, f"sum by (status) ({PREFIX}decisions_total)")

        assert until(lambda found: found == expected, decided) == expected
        known = values(prometheus, f"sum by (introspector) ({PREFIX}tokens_total)")
        state = values(prometheus, f"sum by (state) ({PREFIX}registry_state)")
        users = values(prometheus, f"sum by (event) ({PREFIX}users_total)")

    assert known == {("keycloak-jwt",): sent["none"] + sent["403"], ("none",): 25}
    assert state == {("in_force",): 1, ("reachable",): 1, ("ready",): 1}
    assert users == {("created",): 2}


def test_what_a_worker_counted_stays_when_it_is_gone(
    tmp_path: Path, own_issuer: Issuer, settings: dict[str, str]
) -> None:
    token = own_issuer.token(sub="ann")

    with served(tmp_path, "--max-requests", "3", **settings) as address:
        answers = [get(address, token) for _ in range(20)]
        scraped = requests.get(f"{address}/metrics", timeout=30).text

    assert len({answer.json()["pid"] for answer in answers}) > 2
    assert f'{PREFIX}decisions_total{{error="none",outcome="allowed",status="none"}} 20.0' in scraped.splitlines()
    assert promtool("check", "metrics", said=scraped) == ""


def shown(caption: str) -> str:
    """A file that the documentation shows."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return text.partition(f":caption: {caption}\n")[2].partition("```")[0]


def numbers_in(text: str) -> set[str]:
    return {re.sub("_(bucket|count)$", "", name) for name in re.findall(rf"{PREFIX}\w+", text)}


def test_the_alerts_of_the_documentation_are_rules_about_numbers_that_there_are(tmp_path: Path) -> None:
    rules = shown("alerts.yaml")
    (tmp_path / "alerts.yaml").write_text(rules)
    asked = " ".join(rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"])

    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "alerts.yaml"))
    assert len(numbers_in(asked)) == 5
    assert numbers_in(asked) <= {PREFIX + metric.name for metric in METRICS}


WELL = {f'registry_state{{state="{state}"}}': "1x60" for state in ("in_force", "reachable", "ready")}
"""What is told every minute, in the way of promtool."""
LOOKED = 'shared_cache_total{kind="keys",result="%s"}'
REFUSED = 'decisions_total{outcome="refused",error="%s",status="%s"}'
ALERTING: dict[str, tuple[dict[str, str], str | None]] = {
    "all is well": (WELL, None),
    "nothing is told": ({}, "ForeignTokenNotReady"),
    "not ready": ({**WELL, 'registry_state{state="ready"}': "0x60"}, "ForeignTokenNotReady"),
    "stale": ({**WELL, 'registry_state{state="reachable"}': "0x60"}, "ForeignTokenStale"),
    "left out": ({**WELL, 'registry_out_of_service{type="AccessPolicy"}': "1x60"}, "ForeignTokenOutOfService"),
    "without keys": ({**WELL, 'keys_failing{introspector="login"}': "1x60"}, "ForeignTokenKeysFailing"),
    "found in Redis": ({**WELL, LOOKED % "hit": "0+6x60"}, None),
    "without Redis": ({**WELL, LOOKED % "failed": "0+6x60"}, "ForeignTokenSharedCacheFailing"),
    "a stranger in Redis": ({**WELL, LOOKED % "refused": "0+1x60"}, "ForeignTokenSharedCacheRefused"),
    "unavailable": (
        {**WELL, REFUSED % ("temporarily_unavailable", "503"): "0+60x60"},
        "ForeignTokenUnavailable",
    ),
    **{
        f"{share} of 100 are refused with {error}": (
            {
                **WELL,
                REFUSED % (error, status): f"0+{share}x60",
                'decisions_total{outcome="allowed",error="none",status="none"}': f"0+{100 - share}x60",
            },
            "ForeignTokenRefusing" if share > 20 else None,
        )
        for error, status in (("access_denied", "403"), ("invalid_token", "401"))
        for share in (10, 30)
    },
}


@pytest.mark.parametrize("name", ALERTING)
def test_an_alert_of_the_documentation_is_raised_when_it_should_be_and_no_other(tmp_path: Path, name: str) -> None:
    series, raised = ALERTING[name]
    (tmp_path / "alerts.yaml").write_text(shown("alerts.yaml"))
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["alerts.yaml"],
                "tests": [
                    {
                        "interval": "1m",
                        "input_series": [
                            {"series": PREFIX + each, "values": values} for each, values in series.items()
                        ],
                        "promql_expr_test": [
                            {
                                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                                "eval_time": "30m",
                                "exp_samples": [{"labels": f'{{alertname="{raised}"}}', "value": 1}] if raised else [],
                            }
                        ],
                    }
                ],
            }
        )
    )

    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_the_queries_of_the_documentation_are_about_numbers_that_there_are(tmp_path: Path) -> None:
    queries = [query for query in shown("queries.promql").split("\n\n") if query.strip()]
    rules = [{"record": f"query{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    assert len(rules) == 5
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "queries.yaml"))
    assert numbers_in(" ".join(queries)) <= {PREFIX + metric.name for metric in METRICS}


def test_the_configuration_of_the_documentation_is_one(tmp_path: Path) -> None:
    configuration = shown("prometheus.yml")
    secret = tmp_path / "client-secret"
    secret.write_text("secret")
    (tmp_path / "prometheus.yml").write_text(configuration.replace("/etc/prometheus/client-secret", str(secret)))

    assert "SUCCESS" in promtool("check", "config", str(tmp_path / "prometheus.yml"))


def promtool(*arguments: str, said: str | None = None) -> Any:
    """What promtool says, having found nothing amiss.

    :param said: on its standard input.
    """
    found = program("promtool")
    if found is None:
        missing("promtool is not installed; `make test SERVERS=apt` installs it")
    run = subprocess.run(
        [found, *arguments], input=said, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr
