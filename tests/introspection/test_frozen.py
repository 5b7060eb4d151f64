from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from flask_foreign_token.introspection.frozen import freeze, thaw

CLAIMS: dict[str, Any] = {"realm_access": {"roles": ["user", {"deep": [1]}]}, "aud": ["a", "b"], "exp": 1.5, "x": None}


def test_what_is_frozen_cannot_be_changed_at_any_depth() -> None:
    frozen: Any = freeze(CLAIMS)

    with pytest.raises(TypeError):
        frozen["sub"] = "bert"
    with pytest.raises(TypeError):
        frozen["realm_access"]["roles"] = ()
    with pytest.raises(AttributeError):
        frozen["realm_access"]["roles"].append("admin")
    with pytest.raises(TypeError):
        frozen["realm_access"]["roles"][1]["deep"] = ()


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: claims.update(sub="bert"),
        lambda claims: claims.setdefault("sub", "bert"),
        lambda claims: claims.pop("exp"),
        lambda claims: claims.popitem(),
        lambda claims: claims.clear(),
        lambda claims: claims.__delitem__("exp"),
        lambda claims: claims.__ior__({"sub": "bert"}),
    ],
)
def test_no_method_of_a_dictionary_changes_what_is_frozen(change: Callable[[Any], object]) -> None:
    frozen = freeze(CLAIMS)

    with pytest.raises(TypeError, match="cannot be changed"):
        change(frozen)
    assert thaw(frozen) == CLAIMS


def test_what_is_frozen_can_be_written_as_json_and_copied() -> None:
    frozen = freeze(CLAIMS)

    assert json.loads(json.dumps(frozen)) == CLAIMS
    for copied in (copy.copy(frozen), copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert type(copied) is dict
        assert thaw(copied) == CLAIMS


def test_what_is_frozen_does_not_follow_where_it_came_from() -> None:
    claims: dict[str, Any] = {"roles": ["user"]}
    frozen = freeze(claims)

    claims["roles"].append("admin")

    assert frozen["roles"] == ("user",)


def test_what_is_thawed_is_what_was_frozen_as_json_knows_it() -> None:
    thawed = thaw(freeze(CLAIMS))

    assert thawed == CLAIMS
    assert json.loads(json.dumps(thawed)) == CLAIMS


def test_a_change_of_what_is_thawed_reaches_nothing_else() -> None:
    frozen = freeze(CLAIMS)
    thawed: Any = thaw(frozen)

    thawed["realm_access"]["roles"].append("admin")

    assert thaw(frozen) == CLAIMS
