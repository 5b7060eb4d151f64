"""``apply`` says what it will do, and does that; ``export`` writes what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, policy, provider, registry_of, trusting
from ..conftest import MakeApp
from .callers import (
    CLIENT_SECRET,
    OPERATOR_SETTINGS,
    SIGNING_SECRET,
    everything,
    parsed,
    put_all,
    run,
    secret_introspector,
    secret_provider,
    write,
)
from .registries import AT_ONCE, history, overwrite, worker


@pytest.fixture(params=["database", "file"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """Three policies."""
    app = make_app([] if request.param == "file" else None, **OPERATOR_SETTINGS, **AT_ONCE)
    run(app, "apply", "-", "--yes", stdin=json.dumps(STORED))
    return app


STORED = [policy("same"), policy("other", {"uri": "/before"}, description="Before"), policy("extra", {"uri": "/extra"})]
APPLIED = [policy("same"), policy("other", {"uri": "/after"}, description="After"), policy("new", {"uri": "/new"})]


def outcomes(said: list[dict[str, Any]]) -> dict[str, str]:
    return {one["id"]: one["outcome"] for one in said}


def names(app: Flask) -> list[str]:
    return sorted(resource["id"] for resource in parsed(app, "export"))


def test_the_plan_names_what_is_created_changed_and_unchanged(app: Flask, tmp_path: Path):
    said = run(app, "apply", write(tmp_path, "a.json", APPLIED), "--yes").stdout

    for name in ("AccessPolicy/new", "AccessPolicy/other"):
        assert name in said
    assert "unchanged" in said
    assert "created" in said or "create" in said
    assert "AccessPolicy/extra" not in said


def test_the_plan_shows_what_differs(app: Flask, tmp_path: Path):
    said = run(app, "apply", write(tmp_path, "a.json", APPLIED), "--yes").stdout

    for text in ("matcho.uri", "/before", "/after", "description", "Before", "After"):
        assert text in said


def test_programs_get_the_same(app: Flask, tmp_path: Path):
    said = parsed(app, "apply", write(tmp_path, "a.json", APPLIED), "--yes")

    assert outcomes(said) == {"same": "unchanged", "other": "updated", "new": "created"}


def test_a_dry_run_says_the_same_and_changes_nothing(app: Flask, tmp_path: Path):
    before, file = everything(app), write(tmp_path, "a.json", APPLIED)

    dry = parsed(app, "apply", file, "--dry-run")

    assert everything(app) == before
    assert outcomes(dry) == {"same": "unchanged", "other": "updated", "new": "created"}
    assert outcomes(parsed(app, "apply", file, "--yes")) == outcomes(dry)


def test_a_dry_run_of_a_file_registry_does_not_touch_it(make_app: MakeApp, tmp_path: Path):
    app = make_app(STORED, **OPERATOR_SETTINGS)
    before = (registry_of(app).read_bytes(), registry_of(app).stat().st_mtime_ns, registry_of(app).stat().st_ino)

    run(app, "apply", write(tmp_path, "a.json", APPLIED), "--dry-run", "--prune")

    after = (registry_of(app).read_bytes(), registry_of(app).stat().st_mtime_ns, registry_of(app).stat().st_ino)
    assert after == before


def test_a_dry_run_makes_no_file(make_app: MakeApp, tmp_path: Path):
    app = make_app(**OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY="made.json")

    run(app, "apply", write(tmp_path, "a.json", APPLIED), "--dry-run")

    assert not registry_of(app).with_name("made.json").exists()


def test_a_dry_run_finds_what_would_be_refused(app: Flask, tmp_path: Path):
    before = everything(app)

    result = run(
        app, "apply", write(tmp_path, "a.json", [*APPLIED, policy("bad", engine="mathco")]), "--dry-run", status=1
    )

    assert "AccessPolicy/bad" in result.stderr
    assert "engine" in result.stderr
    assert everything(app) == before


def test_without_prune_what_no_file_names_stays(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "a.json", APPLIED), "--yes")

    assert names(app) == ["extra", "new", "other", "same"]


def test_prune_deletes_what_no_file_names(app: Flask, tmp_path: Path):
    said = parsed(app, "apply", write(tmp_path, "a.json", APPLIED), "--prune", "--yes")

    assert outcomes(said) == {"same": "unchanged", "other": "updated", "new": "created", "extra": "deleted"}
    assert names(app) == ["new", "other", "same"]


def test_a_dry_run_of_prune_names_what_would_go(app: Flask, tmp_path: Path):
    said = run(app, "apply", write(tmp_path, "a.json", APPLIED), "--prune", "--dry-run").stdout

    assert "AccessPolicy/extra" in said
    assert names(app) == ["extra", "other", "same"]


def test_prune_goes_by_all_files_together(app: Flask, tmp_path: Path):
    files = [write(tmp_path, f"{one['id']}.json", one) for one in APPLIED]

    run(app, "apply", *files, "--prune", "--yes")

    assert names(app) == ["new", "other", "same"]


def test_prune_of_what_is_refused_deletes_nothing(app: Flask, tmp_path: Path):
    before = everything(app)

    run(app, "apply", write(tmp_path, "a.json", policy("bad", engine="mathco")), "--prune", "--yes", status=1)

    assert everything(app) == before


def test_prune_deletes_a_provider_with_its_introspector(app: Flask, tmp_path: Path):
    trust = secret_introspector(identity_provider={"reference": "IdentityProvider/acme"})
    run(app, "apply", write(tmp_path, "a.json", [secret_provider(), trust]), "--yes")

    run(app, "apply", write(tmp_path, "b.json", STORED), "--prune", "--yes")

    assert names(app) == ["extra", "other", "same"]


def test_prune_deletes_no_user(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    app = worker(make_app, tmp_path / "users.sqlite")
    put_all(app, trusting(issuer))
    assert ask(app, issuer.token()).status_code == 200

    run(app, "apply", write(tmp_path, "a.json", policy("only")), "--prune", "--yes")

    assert names(app) == ["only"]
    assert len(parsed(app, "users", "list")) == 1


def test_prune_mends_what_a_row_by_hand_spoilt(make_app: MakeApp, tmp_path: Path):
    app = worker(make_app, tmp_path / "bad.sqlite")
    put_all(app, [policy("good"), policy("bad")])
    overwrite(app, "AccessPolicy", "bad", "{")

    run(app, "apply", write(tmp_path, "a.json", policy("good")), "--prune", "--yes")

    assert names(worker(make_app, tmp_path / "bad.sqlite")) == ["good"]
    run(worker(make_app, tmp_path / "bad.sqlite"), "list", "AccessPolicy")


def test_no_plan_shows_a_secret(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "a.json", [secret_provider(), secret_introspector()]), "--yes")
    other = secret_introspector(jwt={"iss": "https://acme.example", "aud": "account", "secret": "another-" * 6})

    for style in ([], ["--json"]):
        said = run(app, "apply", write(tmp_path, "b.json", [secret_provider(title="New"), other]), "--dry-run", *style)
        assert "another-another" not in said.output
        assert SIGNING_SECRET not in said.output
        assert CLIENT_SECRET not in said.output
        assert "TokenIntrospector" in said.output


def test_a_secret_alone_that_changes_is_a_change(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "a.json", secret_introspector()), "--yes")
    other = secret_introspector(jwt={"iss": "https://acme.example", "aud": "account", "secret": "another-" * 6})

    assert outcomes(parsed(app, "apply", write(tmp_path, "b.json", other), "--dry-run")) == {"acme-tokens": "updated"}
    said = run(app, "apply", write(tmp_path, "b.json", other), "--dry-run").stdout
    assert "jwt.secret" in said


def test_applying_twice_changes_nothing_the_second_time(app: Flask, tmp_path: Path):
    file = write(tmp_path, "a.json", APPLIED)
    run(app, "apply", file, "--yes")
    before = everything(app)

    assert set(outcomes(parsed(app, "apply", file, "--prune", "--yes")).values()) == {"unchanged", "deleted"}
    assert set(outcomes(parsed(app, "apply", file, "--prune", "--yes")).values()) == {"unchanged"}
    assert everything(app)["AccessPolicy"] == [one for one in before["AccessPolicy"] if one["id"] != "extra"]


def test_all_of_an_apply_is_one_change_of_the_history(make_app: MakeApp, tmp_path: Path):
    app = worker(make_app, tmp_path / "one.sqlite")
    file = write(tmp_path, "many.json", [policy(f"p{number}") for number in range(5)])

    run(app, "apply", file, "--yes")

    whose = {
        json.dumps(entry["resource"]["meta"]["lastUpdated"])
        for n in range(5)
        for entry in history(app, f"AccessPolicy/p{n}")
    }
    assert len(whose) == 1


# ---- export


def test_what_export_writes_is_what_apply_reads(app: Flask, make_app: MakeApp, tmp_path: Path):
    for style, name in ([], "all.yaml"), (["--json"], "all.json"):
        exported = run(app, "export", *style).stdout
        fresh = make_app(**OPERATOR_SETTINGS)

        run(fresh, "apply", write(tmp_path, name, exported), "--yes")

        assert run(fresh, "export", *style).stdout == exported


def test_what_is_exported_is_unchanged_where_it_comes_from(app: Flask, tmp_path: Path):
    run(app, "apply", write(tmp_path, "s.json", [secret_provider(), secret_introspector()]), "--yes")

    said = parsed(app, "apply", write(tmp_path, "all.yaml", run(app, "export").stdout), "--prune", "--yes")

    assert len(said) == 5
    assert set(outcomes(said).values()) == {"unchanged"}


def test_references_to_secrets_make_an_export_whole(make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLINIC_SECRET", SIGNING_SECRET)
    jwt = {"iss": "https://acme.example", "aud": "account", "secret": {"env": "CLINIC_SECRET"}}
    first, second = (worker(make_app, tmp_path / f"{name}.sqlite") for name in ("first", "second"))
    put_all(first, [secret_introspector(jwt=jwt), provider("acme")])

    run(second, "apply", write(tmp_path, "all.yaml", run(first, "export").stdout), "--yes")

    assert run(second, "export").stdout == run(first, "export").stdout


def test_a_masked_secret_is_refused_where_none_is_stored(make_app: MakeApp, tmp_path: Path):
    first, second = (worker(make_app, tmp_path / f"{name}.sqlite") for name in ("first", "second"))
    put_all(first, [secret_introspector()])

    result = run(second, "apply", write(tmp_path, "all.yaml", run(first, "export").stdout), "--yes", status=1)

    assert "jwt.secret" in result.stderr
    assert names(second) == []


def test_an_export_is_yaml_without_times_and_versions(app: Flask):
    documents = list(yaml.safe_load_all(run(app, "export").stdout))

    assert {one["id"] for one in documents} == {"same", "other", "extra"}
    assert not [one for one in documents if "meta" in one]
