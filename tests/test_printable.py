from __future__ import annotations

from flask_foreign_token.printable import in_ascii, printable, shown

HOSTILE = "https://ä.example/\n\u202e"


def test_an_address_is_printed_in_ascii_on_one_line() -> None:
    assert in_ascii(HOSTILE) == r"https://\xe4.example/\n\u202e"


def test_what_goes_to_a_terminal_keeps_whatever_has_a_face() -> None:
    assert printable(HOSTILE) == r"https://ä.example/\n\u202e"


def test_a_name_stays_as_it_is_while_it_can_be_printed() -> None:
    assert [shown("größe"), shown("a\nb"), shown(7)] == ["größe", r"a\nb", "7"]


def test_names_and_remarks_of_any_length_are_cut_off() -> None:
    assert shown("x" * 65) == "x" * 64 + "…"
    assert in_ascii("x" * 201) == "x" * 200 + "..."
