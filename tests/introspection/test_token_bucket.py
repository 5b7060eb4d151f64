from __future__ import annotations

from flask_foreign_token.introspection.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int) -> int:
    """How many of `tries` succeed at `now`."""
    successes = 0
    for _ in range(tries):
        if bucket.holds_one(now):
            bucket.take(now)
            successes += 1
    return successes


def test_a_full_bucket_gives_its_capacity_at_once() -> None:
    assert taken(TokenBucket(3, 10.0), 0.0, 100) == 3


def test_a_bucket_is_refilled_one_by_one() -> None:
    bucket = TokenBucket(3, 10.0)
    taken(bucket, 0.0, 3)

    assert taken(bucket, 9.9, 100) == 0
    assert taken(bucket, 10.0, 100) == 1
    assert taken(bucket, 15.0, 100) == 0
    assert taken(bucket, 20.0, 100) == 1


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    bucket = TokenBucket(3, 10.0)
    taken(bucket, 0.0, 1)

    assert taken(bucket, 1_000_000.0, 100) == 3


def test_a_clock_that_is_set_back_gives_nothing_and_goes_on_from_there() -> None:
    bucket = TokenBucket(1, 10.0)
    taken(bucket, 100.0, 1)

    assert taken(bucket, 50.0, 100) == 0
    assert taken(bucket, 59.9, 100) == 0
    assert taken(bucket, 60.0, 100) == 1
