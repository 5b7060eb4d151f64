from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_foreign_token import strict_json
from flask_foreign_token.interning import texts
from flask_foreign_token.introspection import frozen as frozen_module
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


# ---- what repeats


@pytest.fixture
def _nothing_interned() -> None:
    """Neither table is full."""
    texts._kept.clear()
    frozen_module._values._kept.clear()


def frozen_anew(**claims: object) -> Any:
    """As from a token that was parsed just now."""
    claims = {"iss": "https://id.example", "scope": "openid email", **claims}
    parsed: Any = strict_json.loads(json.dumps(claims))
    return freeze(parsed)


@pytest.mark.usefixtures("_nothing_interned")
def test_two_tokens_have_their_names_and_what_repeats_in_common() -> None:
    roles = {"clinic": {"roles": ["doctor"]}, "account": {"roles": ["view-profile"]}}
    first, second = (frozen_anew(sub=subject, aud=["a", "b"], access=roles) for subject in ("ann", "bert"))

    assert [id(name) for name in first] == [id(name) for name in second]
    assert all(first[name] is second[name] for name in ("iss", "scope", "aud", "access"))
    assert (first["sub"], second["sub"]) == ("ann", "bert")


@pytest.mark.usefixtures("_nothing_interned")
def test_values_that_differ_have_their_parts_in_common() -> None:
    first = frozen_anew(access={"clinic": {"roles": ["doctor-of-all"]}, "account": {"roles": ["view-profile"]}})
    second = frozen_anew(
        access={"clinic": {"roles": ["doctor-of-all", "nurse"]}, "account": {"roles": ["view-profile"]}}
    )

    assert first["access"] != second["access"]
    assert first["access"]["account"] is second["access"]["account"]
    assert first["access"]["clinic"]["roles"][0] is second["access"]["clinic"]["roles"][0]


@pytest.mark.parametrize("value", [1, 1.0, True, "1", 0.0, -0.0, 0, False, None, 10**30, [], {}, [[]]], ids=repr)
def test_what_only_python_holds_for_equal_is_kept_apart(value: object) -> None:
    for other in (1, 1.0, True, "1", 0.0, -0.0, 0, False, None, 10**30, [], {}, [[]]):
        frozen_anew(of_array=[other], of_object={"is": other})

    frozen = frozen_anew(of_array=[value], of_object={"is": value})

    assert json.dumps([frozen["of_array"], frozen["of_object"]]) == json.dumps([[value], {"is": value}])


def test_the_order_of_members_stays_as_it_came() -> None:
    frozen_anew(access={"a": 1, "b": 2})

    assert list(frozen_anew(access={"b": 2, "a": 1})["access"]) == ["b", "a"]


@pytest.mark.usefixtures("_nothing_interned")
def test_what_is_a_persons_own_is_not_kept() -> None:
    frozen_anew(sub="ann", email="ann@example.com", address={"street_address": "Kirkgate 1"})

    kept = [*texts._kept, *map(str, frozen_module._values._kept)]
    assert "email" in kept
    assert not any("ann" in text or "Kirkgate" in text for text in kept)


@pytest.mark.usefixtures("_nothing_interned")
def test_a_large_value_is_frozen_and_not_kept() -> None:
    frozen = frozen_anew(roles=[f"role-{number}" for number in range(1000)])

    assert frozen["roles"][999] == "role-999"
    assert len(frozen_module._values) == 0


@pytest.mark.usefixtures("_nothing_interned")
def test_however_many_tokens_come_little_is_kept() -> None:
    for number in range(5000):
        frozen_anew(tenant=f"tenant-{number}", roles=[f"role-{number}"])

    assert len(texts) <= 1010
    assert len(frozen_module._values) <= 1010


def test_what_no_json_is_parsed_to_is_frozen_all_the_same() -> None:
    now = datetime.now(UTC)

    frozen: Any = freeze({"said": {"at": [now]}, "frozen": freeze({"roles": ["user"]})})

    assert frozen == {"said": {"at": (now,)}, "frozen": {"roles": ("user",)}}
    with pytest.raises(TypeError):
        frozen["said"]["at"] = ()
