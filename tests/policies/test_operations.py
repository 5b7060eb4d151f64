"""Which policies open the operator's endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_foreign_token.policies.decisions import DENIED, Decision, Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.policies.whom import Link

from .facts import token

READ, DELETE = "foreign_token.read_user", "foreign_token.delete_user"


def view(endpoint: str = READ, **parts: Any) -> RequestView:
    """A request of an authenticated caller of which only `parts` exist."""
    made = RequestView(None, token(), None)  # type: ignore[arg-type]
    made.update(operation={"id": endpoint}, **parts)
    return made


def linked(*references: str, **body: Any) -> Policies:
    links = {"link": [{"reference": reference} for reference in references]} if references else {}
    return Policies([compile_policy("p", "1", {"engine": "allow", **links, **body}, Engines())])


def test_a_link_opens_the_very_endpoint_that_it_names() -> None:
    policies = linked(f"Operation/{READ}")

    assert policies.decide_operation(view(READ), READ) == Decision(True, "p")
    assert policies.decide_operation(view(DELETE), DELETE) == DENIED


def test_other_links_do_not_matter_beside_it() -> None:
    policies = linked("User/somebody", f"Operation/{READ}", "Client/another")

    assert policies.decide_operation(view(user={"id": "ann"}, client={"id": "app"}), READ).allowed


@pytest.mark.parametrize(
    "references", [(), ("User/ann",), ("Client/app",), (f"Operation/{DELETE}",), (f"Client/{READ}",)]
)
def test_a_policy_without_it_opens_nothing(references: tuple[str, ...]) -> None:
    asked = view(user={"id": "ann"}, client={"id": "app"})

    assert linked(*references).decide_operation(asked, READ) == DENIED


def test_what_the_engine_says_must_hold() -> None:
    policies = linked(f"Operation/{READ}", engine="matcho", matcho={"jwt": {"role": "administrator"}})

    assert policies.decide_operation(view(jwt={"role": "administrator"}), READ).allowed
    assert policies.decide_operation(view(jwt={"role": "nurse"}), READ) == DENIED
    assert policies.decide_operation(view(), READ) == DENIED


def test_nothing_opens_to_an_anonymous_caller() -> None:
    anonymous = RequestView(None, None, None)  # type: ignore[arg-type]
    anonymous.update(operation={"id": READ})

    assert linked(f"Operation/{READ}").decide_operation(anonymous, READ) == DENIED


class Links(tuple[Link, ...]):
    """Counts how often somebody goes through it."""

    looks = 0

    def __iter__(self) -> Iterator[Link]:
        Links.looks += 1
        return super().__iter__()

    def __contains__(self, link: object) -> bool:
        Links.looks += 1
        return super().__contains__(link)


def test_only_policies_that_name_the_endpoint_are_looked_at() -> None:
    compiled = [
        compile_policy(f"p-{number}", "1", {"engine": "allow", "link": [{"reference": f"Operation/{name}"}]}, Engines())
        for number, name in enumerate([*(f"other-{number}" for number in range(100)), READ])
    ]
    for policy in compiled:
        policy.links = Links(policy.links)
    policies = Policies(compiled)
    Links.looks = 0

    assert policies.decide_operation(view(READ), READ) == Decision(True, "p-100")
    assert policies.decide_operation(view("other"), "other") == DENIED
    assert Links.looks == 0
