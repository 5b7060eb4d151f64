"""Matcho as its table reads, row by row: slow, recursive, without a tree. What is missing is null."""

from __future__ import annotations

import re
from typing import Any


def same(left: Any, right: Any) -> bool:
    """Equality deep and by type; JSON has one kind of numbers."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return kind(left) == kind(right) and left == right


def kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def at(path: str, root: Any) -> Any:
    value = root
    for segment in path.split(".")[1:]:
        if isinstance(value, dict):
            value = value.get(segment)
        elif isinstance(value, list) and re.fullmatch("[0-9]+", segment):
            value = value[int(segment)] if int(segment) < len(value) else None
        else:
            return None
    return value


def matches(pattern: Any, value: Any, root: Any) -> bool:
    if isinstance(pattern, str):
        return text_matches(pattern, value, root)
    if isinstance(pattern, list):
        if not isinstance(value, list):
            return False
        padded = value + [None] * len(pattern)
        return all(matches(p, item, root) for p, item in zip(pattern, padded, strict=False))
    if not isinstance(pattern, dict):
        return same(pattern, value)
    if not any(key.startswith("$") for key in pattern):
        return isinstance(value, dict) and all(matches(p, value.get(key), root) for key, p in pattern.items())
    return all(operator_matches(name, argument, value, root) for name, argument in pattern.items())


def text_matches(pattern: str, value: Any, root: Any) -> bool:
    if pattern.startswith("#"):
        # Python's $ also stands before a last line break.
        return isinstance(value, str) and re.search(pattern[1:].replace("$", r"\Z"), value) is not None
    if pattern.startswith("."):
        return value is not None and same(value, at(pattern, root))
    if pattern == "present?":
        return value is not None
    if pattern == "nil?":
        return value is None
    if pattern == "not-blank?":
        return isinstance(value, str) and value.strip() != ""
    return isinstance(value, str) and value == pattern


def operator_matches(name: str, argument: Any, value: Any, root: Any) -> bool:
    if name == "$enum":
        return any(same(value, scalar) for scalar in argument)
    if name == "$one-of" and isinstance(argument, str):
        allowed = at(argument, root)
        return value is not None and isinstance(allowed, list) and any(same(value, item) for item in allowed)
    if name == "$one-of":
        return any(matches(p, value, root) for p in argument)
    if name == "$not":
        return not matches(argument, value, root)
    if name == "$reference":
        text = value.get("reference") if isinstance(value, dict) else value
        parts = text.split("/") if isinstance(text, str) else []
        if len(parts) != 2 or not all(parts):
            return False
        return matches(argument, {"resourceType": parts[0], "id": parts[1]}, root)
    return isinstance(value, list) and array_matches(name, argument, value, root)


def array_matches(name: str, argument: Any, items: list[Any], root: Any) -> bool:
    if name == "$contains":
        return any(matches(argument, item, root) for item in items)
    if name == "$every":
        return all(matches(argument, item, root) for item in items)
    if name == "$present-all":
        return all(any(matches(p, item, root) for item in items) for p in argument)
    assert name == "$length"
    return len(items) == argument
