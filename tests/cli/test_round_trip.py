"""``export`` writes what ``apply`` reads: whatever is stored is unchanged by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_foreign_token.registry.edits import Edit

from ..apps import SECRET, Resource, introspector, policy, provider, registry_of
from ..conftest import MakeApp
from .commands import printed, run, written

# What YAML may take for something else than a text, and what a line or a terminal may not like.
AWKWARD = st.sampled_from(
    [
        "yes",
        "null",
        "~",
        "1e3",
        "0x1f",
        "2024-01-01",
        "- a",
        "a: b",
        "# c",
        "'",
        '"',
        "---",
        "a\n b\n",
        "\u2028",
        "\x85",
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | AWKWARD
VALUE = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,8}", fullmatch=True)


@st.composite
def resources(draw: st.DrawFn) -> list[Resource]:
    """A provider with an introspector, and policies."""
    name = draw(IDS)
    trusted = provider(name, title=draw(TEXT), client={"id": "clinic", "secret": draw(TEXT.filter(str.strip))})
    trusting = introspector(
        draw(IDS),
        jwt={"iss": "https://issuer.example", "aud": "account", "secret": SECRET},
        identity_provider=draw(
            st.sampled_from(
                [{"reference": f"IdentityProvider/{name}"}, {"resourceType": "IdentityProvider", "id": name}]
            )
        ),
    )
    policies = [
        policy(id_, engine="json-schema", schema={"const": draw(VALUE)}, description=draw(TEXT))
        for id_ in draw(st.lists(IDS, max_size=3, unique=True))
    ]
    return [trusted, trusting, *policies]


def replace_all(app: Flask, bodies: list[Resource]) -> None:
    with app.app_context():
        app.extensions["foreign_token"].runtime().catalog.apply(Edit(bodies, prune=True))


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["YAML", "JSON"])
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=resources())
def test_what_is_exported_is_unchanged_where_it_is_applied(
    empty_app: Flask, form: list[str], bodies: list[Resource]
) -> None:
    replace_all(empty_app, bodies)
    text = run(empty_app, "export", *form).stdout_bytes

    applied = run(empty_app, "apply", "--prune", "--yes", "--json", "-", stdin=text)

    changes: list[dict[str, Any]] = json.loads(applied.stdout)
    assert [change for change in changes if change["outcome"] != "unchanged"] == []
    assert len(changes) == len(bodies)


def test_variables_of_a_file_stay_what_they_are(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIC", "clinic")
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    jwt = {"iss": "https://${CLINIC}.example", "aud": "account", "secret": "${CLINIC_SECRET}"}
    app = make_app(
        [
            provider("${CLINIC}"),
            introspector("i", jwt=jwt, identity_provider={"reference": "IdentityProvider/${CLINIC}"}),
        ]
    )
    before = registry_of(app).read_bytes()

    applied = run(app, "apply", "--prune", "--yes", "-", stdin=run(app, "export").stdout)

    assert [line.split()[0] for line in applied.stdout.splitlines()] == ["unchanged", "unchanged"]
    assert registry_of(app).read_bytes() == before


def test_versions_and_times_that_were_printed_are_not_written(empty_app: Flask) -> None:
    replace_all(empty_app, [policy("a")])
    (body,) = printed(empty_app, "list", "AccessPolicy")

    result = run(empty_app, "apply", "-", stdin=json.dumps({**body, "meta": {"versionId": "77"}}))

    assert result.stdout == "unchanged AccessPolicy/a\n"


def test_an_export_reads_the_same_from_a_database_and_a_file(make_app: MakeApp) -> None:
    body = policy("a", {"uri": "/x", "body": {"z": 1, "b": [{"y": 1, "a": 2}]}}, description="d")
    database, file = make_app(), make_app([])
    for app in (database, file):
        replace_all(app, [body])

    assert run(database, "export").stdout == run(file, "export").stdout


def test_a_large_yaml_file_is_read(make_app: MakeApp, tmp_path: Path) -> None:
    """YAML of callers may have 100 000 keys and values."""
    schema = f"{{const: [{', '.join(['0'] * 10_000)}]}}"
    documents = (f"{{resourceType: AccessPolicy, id: p{n}, engine: json-schema, schema: {schema}}}" for n in range(10))

    result = run(make_app(), "apply", "--dry-run", written(tmp_path / "all.yaml", "\n---\n".join(documents)))

    assert result.stdout.count("would create ") == 10
