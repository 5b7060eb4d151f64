"""The app of docs/own-users.md, with a provider's tokens."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flask_foreign_token.testing import Issuer

from ..apps import ask, database_of, store, trusting
from .pages import ROOT

(APP,) = re.findall(
    r"^```\{code-block\} python\n:caption: app\.py\n(.*?)^```$",
    (ROOT / "docs" / "own-users.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: Issuer) -> Iterator[ModuleType]:
    """The app as a module, which trusts `issuer`."""
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("clinic", tmp_path / "app.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "clinic", module)
    spec.loader.exec_module(module)
    store(module.app, trusting(issuer, toScim={"email": ["email"], "realm_access.roles": ["roles"]}))
    yield module
    with module.app.app_context():
        database_of(module.app).engine.dispose()


def test_columns_are_filled_before_the_first_view_runs(clinic: ModuleType, issuer: Issuer) -> None:
    token = issuer.token(sub="alice", email="alice@example.com", preferred_username="alice")

    assert ask(clinic.app, token, "/me").json == {"id": 1, "username": "alice", "email": "alice@example.com"}


def test_a_user_of_whom_the_provider_says_nothing_is_let_in_too(clinic: ModuleType, issuer: Issuer) -> None:
    assert ask(clinic.app, issuer.token(sub="bob"), "/me").json == {"id": 1, "username": "bob", "email": None}


def test_a_user_who_is_not_active_is_refused(clinic: ModuleType, issuer: Issuer) -> None:
    token = issuer.token(sub="alice")
    ask(clinic.app, token, "/me")
    with clinic.app.app_context():
        clinic.db.session.get(clinic.User, 1).is_active = False
        clinic.db.session.commit()

    assert ask(clinic.app, token, "/me").json["error_description"] == "the user is inactive"
