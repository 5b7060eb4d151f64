from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.interning import LONGEST, Interned, interned, texts, with_interned_texts


def made_anew(text: str) -> str:
    """An equal text that is another object."""
    return text[:1] + text[1:]


@pytest.fixture(autouse=True)
def _nothing_interned() -> None:
    texts._kept.clear()


def test_equal_texts_are_one_object() -> None:
    first, second = made_anew("realm_access"), made_anew("realm_access")

    assert first is not second
    assert interned(first) is interned(second) is first


def test_a_long_text_is_not_kept() -> None:
    long = "x" * (LONGEST + 1)

    assert interned(long) is long
    assert len(texts) == 0
    assert interned(long[1:]) == long[1:]
    assert len(texts) == 1


def test_what_is_full_begins_anew_and_keeps_what_comes_again() -> None:
    some: Interned[str, str] = Interned(size=2)
    first = made_anew("first")
    some.first(first, first)
    some.make_room()
    assert some.find("first") is first

    some.first("second", "second")
    some.make_room()
    assert (len(some), some.find("first")) == (0, None)

    again = made_anew("first")
    assert some.first(again, again) is again
    assert some.find("first") is again


def test_the_copy_of_a_value_says_the_same_in_the_same_words() -> None:
    def value() -> dict[str, Any]:
        return {
            made_anew("roles"): [made_anew("admin"), {made_anew("of"): made_anew("clinic")}],
            "since": 7,
            "no": None,
        }

    first: Any = with_interned_texts(value())
    second: Any = with_interned_texts(value())

    assert first == second == value()
    assert [id(name) for name in first] == [id(name) for name in second]
    assert first["roles"][0] is second["roles"][0]
    assert first["roles"][1]["of"] is second["roles"][1]["of"]


def test_a_change_of_a_copy_reaches_no_other() -> None:
    value: dict[str, Any] = {"roles": ["admin"], "name": {"familyName": "Miller"}}
    first: Any = with_interned_texts(value)
    second: Any = with_interned_texts(value)

    first["roles"].append("owner")
    first["name"]["familyName"] = "Smith"

    assert second == value == {"roles": ["admin"], "name": {"familyName": "Miller"}}


def test_what_is_somebodys_own_is_not_kept() -> None:
    with_interned_texts({"email": "ann@example.com", "name": {"familyName": "Miller"}, "gender": "female"})

    assert (texts.find("ann@example.com"), texts.find("Miller")) == (None, None)
    assert (texts.find("female"), texts.find("familyName")) == ("female", "familyName")
