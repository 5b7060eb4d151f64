"""The operator's sign-in, by itself."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_foreign_token.admin.operator import Operator
from flask_foreign_token.admin.refusals import OperatorRequired, TooManyAttempts

from ..loading import Clock

SECRET = "a secret of the operator"
HOME = "192.0.2.1"


def basic(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


RIGHT = basic(f"operator:{SECRET}")
WRONG = [
    basic("operator:wrong"),
    basic(f"somebody:{SECRET}"),
    basic(f"operator:{SECRET} "),
    basic(f"Operator:{SECRET}"),
    basic("operator"),
    basic(":"),
    basic(""),
    basic(b"\xff:\xff"),
    basic("öperator:" + SECRET),
    basic(f"operator:{SECRET}")[:-1] + "!",
    "öäü",
    "\x00",
    "=",
    "",
    f"{RIGHT}, {RIGHT}",
    RIGHT * 2,
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operator(clock: Clock) -> Operator:
    return Operator("operator", SECRET, clock)


def fail(operator: Operator, address: str | None = HOME, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OperatorRequired):
            operator.sign_in(basic("operator:wrong"), address)


def test_the_right_name_and_secret_sign_in(operator: Operator) -> None:
    assert operator.sign_in(RIGHT, HOME) is operator.sign_in(f" {RIGHT} ", HOME) is None
    assert len(operator._failures) == 0


@pytest.mark.parametrize("credentials", WRONG)
def test_whatever_else_does_not(operator: Operator, credentials: str) -> None:
    with pytest.raises(OperatorRequired):
        operator.sign_in(credentials, HOME)


def test_name_and_secret_may_have_any_character_and_the_secret_a_colon() -> None:
    operator = Operator("ärztin", "größer:als sechzehn", Clock())

    operator.sign_in(basic("ärztin:größer:als sechzehn"), HOME)
    with pytest.raises(OperatorRequired):
        operator.sign_in(basic("ärztin:größer:als sechzehn".encode("latin-1")), HOME)


@pytest.mark.parametrize("credentials", ["", basic(":"), basic("None:None"), RIGHT])
def test_without_an_operator_nobody_signs_in(credentials: str) -> None:
    with pytest.raises(OperatorRequired):
        Operator(None, None, Clock()).sign_in(credentials, HOME)


def test_the_sixth_attempt_within_a_minute_is_not_looked_at(operator: Operator, clock: Clock) -> None:
    for _ in range(5):
        fail(operator)
        clock.now += 10

    with pytest.raises(TooManyAttempts) as refused:
        operator.sign_in(RIGHT, HOME)

    assert refused.value.wait == 10


def test_an_attempt_is_looked_at_again_when_the_wait_is_over(operator: Operator, clock: Clock) -> None:
    fail(operator, times=5)
    clock.now += 59.5
    with pytest.raises(TooManyAttempts) as refused:
        operator.sign_in(RIGHT, HOME)
    assert refused.value.wait == 1

    clock.now += refused.value.wait

    operator.sign_in(RIGHT, HOME)


def test_attempts_that_are_not_looked_at_do_not_make_the_wait_longer(operator: Operator, clock: Clock) -> None:
    fail(operator, times=5)
    for _ in range(50):
        clock.now += 1
        with pytest.raises(TooManyAttempts):
            operator.sign_in(RIGHT, HOME)

    clock.now += 10

    operator.sign_in(RIGHT, HOME)


def test_a_success_does_not_count_and_forgives_nothing(operator: Operator) -> None:
    fail(operator, times=4)
    for _ in range(10):
        operator.sign_in(RIGHT, HOME)
    fail(operator)

    with pytest.raises(TooManyAttempts):
        operator.sign_in(RIGHT, HOME)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff"),
        ("2001:db8:0:0:1::", "2001:db8::2"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (None, None),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("192.0.2.1:50000", "192.0.2.1:50001"),
        ("192.0.2.1", "192.0.2.1:50001"),
        ("[2001:db8::1]:50000", "[2001:db8::2]:50001"),
        ("a socket", None),
        ("unknown", "x" * 100_000),
    ],
)
def test_addresses_of_one_place_count_together(operator: Operator, one: str | None, other: str | None) -> None:
    fail(operator, one, times=5)

    with pytest.raises(TooManyAttempts):
        operator.sign_in(RIGHT, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:1::1", "2001:db8:0:2::1"), (None, "192.0.2.1"), ("192.0.2.1", None)],
)
def test_another_place_is_not_locked_out(operator: Operator, one: str | None, other: str | None) -> None:
    fail(operator, one, times=5)

    operator.sign_in(RIGHT, other)


def test_what_is_remembered_is_bounded(operator: Operator) -> None:
    for number in range(25_000):
        fail(operator, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(operator._failures) <= 10_000


def test_attempts_at_once_are_no_more_than_five(operator: Operator) -> None:
    def attempt(number: int) -> type[Exception]:
        try:
            operator.sign_in(basic(f"operator:{number}"), HOME)
        except (OperatorRequired, TooManyAttempts) as refusal:
            return type(refusal)
        raise AssertionError

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(attempt, range(200)))

    assert answers.count(OperatorRequired) == 5
    assert answers.count(TooManyAttempts) == 195
