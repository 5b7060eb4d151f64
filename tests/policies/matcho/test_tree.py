from __future__ import annotations

from typing import Any

import pytest

from flask_foreign_token.policies.matcho.parse import parse
from flask_foreign_token.policies.matcho.tree import reads, walk


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ({"jwt": {"iss": "https://a"}}, {"jwt"}),
        ({"uri": "#^/a", "request-method": "get"}, {"uri", "request-method"}),
        ({"params": {"id": ".user.id"}}, {"params", "user"}),
        ({"user": {"role": {"$one-of": ".jwt.roles"}}}, {"user", "jwt"}),
        ({"$one-of": [{"jwt": "present?"}, {"$not": {"client": {"id": "x"}}}]}, {"jwt", "client"}),
        ({"body": {"$contains": {"$reference": {"id": ".user.id"}}}}, {"body", "user"}),
        ({"body": {"a": {"jwt": [1, ".operation.id"]}}}, {"body", "operation"}),
        ({"$not": "present?"}, set()),
    ],
)
def test_a_pattern_tells_which_parts_of_the_request_it_reads(pattern: Any, parts: set[str]) -> None:
    assert reads(parse(pattern)) == parts


def test_a_walk_meets_every_node_from_the_top() -> None:
    tree = parse({"a": [1, {"$not": ".b"}], "c": {"$one-of": ".d"}})

    assert [type(node).__name__ for node in walk(tree)] == [
        "Fields",
        "Items",
        "Literal",
        "Not",
        "Path",
        "ItemOf",
        "Path",
    ]
