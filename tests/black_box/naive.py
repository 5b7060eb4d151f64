"""Policies decided in the plainest way, written from the tables of the documentation; what the index is measured by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MISSING = object()


def same(left: Any, right: Any) -> bool:
    """Deep equality of JSON values, by type; JSON has one kind of numbers."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def at(path: str, request: Mapping[str, Any]) -> Any:
    value: Any = request
    for name in path[1:].split("."):
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value


def is_there(value: Any) -> bool:
    return value is not MISSING and value is not None


def matches(pattern: Any, value: Any, request: Mapping[str, Any]) -> bool:
    if isinstance(pattern, str):
        return matches_text(pattern, value, request)
    if isinstance(pattern, dict) and any(name.startswith("$") for name in pattern):
        [(operator, said)] = pattern.items()
        return applies(operator, said, value, request)
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            matches(said, value.get(name, MISSING), request) for name, said in pattern.items()
        )
    return value is not MISSING and same(pattern, value)


def matches_text(pattern: str, value: Any, request: Mapping[str, Any]) -> bool:
    if pattern.startswith("#"):
        return isinstance(value, str) and re.search(pattern[1:], value) is not None
    if pattern.startswith("."):
        return is_there(value) and is_there(at(pattern, request)) and same(at(pattern, request), value)
    if pattern == "present?":
        return is_there(value)
    if pattern == "nil?":
        return not is_there(value)
    if pattern == "not-blank?":
        return isinstance(value, str) and value.strip() != ""
    return value is not MISSING and same(pattern, value)


def applies(operator: str, said: Any, value: Any, request: Mapping[str, Any]) -> bool:
    if operator == "$enum":
        return value is not MISSING and any(same(one, value) for one in said)
    if operator == "$one-of":
        return any(matches(one, value, request) for one in said)
    if operator == "$not":
        return not matches(said, value, request)
    if not isinstance(value, list):
        return False
    quantifier = {"$contains": any, "$every": all}[operator]
    return quantifier(matches(said, item, request) for item in value)


def holds(condition: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    engine = condition["engine"]
    if engine == "matcho":
        return matches(condition["matcho"], request, request)
    if engine == "complex":
        if "and" in condition:
            return all(holds(one, request) for one in condition["and"])
        return any(holds(one, request) for one in condition["or"])
    if engine == "json-schema":
        name = condition["schema"]["properties"]["jwt"]["required"][0]
        wanted = condition["schema"]["properties"]["jwt"]["properties"][name]["const"]
        return same(request.get("jwt", {}).get(name), wanted)
    return True


def allows(policy: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether `policy`, of one of the forms that the tests of the index make, allows `request`."""
    if "link" in policy:
        linked = (reference["reference"].split("/") for reference in policy["link"])
        if not any(request.get(kind.lower(), {}).get("id") == name for kind, name in linked):
            return False
    if "roleName" in policy:
        roles = request.get("user", {}).get("roles")
        if policy["roleName"] not in (roles if isinstance(roles, list) else [roles]):
            return False
    return holds(policy, request)
