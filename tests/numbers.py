"""What an app says of itself in numbers, for tests to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from flask_foreign_token.stats import stats

Series = dict[tuple[str, ...], Any]


def numbers(app: Flask, name: str) -> Series:
    """The value of each series of a number by its labels; of a histogram, how many values there were."""
    return series_of(stats(app.extensions["foreign_token"]), name)


def series_of(found: Mapping[str, Any], name: str) -> Series:
    return {tuple(each["labels"].values()): each.get("value", each.get("count")) for each in found[name]}
