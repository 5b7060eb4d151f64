"""Views without a guard, and guards without a policy."""

from __future__ import annotations

from flask_foreign_token.diagnosis.guards import check_guards, check_views
from flask_foreign_token.diagnosis.routes import Routes
from flask_foreign_token.errors import Issue


def test_views_without_a_guard_are_one_warning_that_names_them() -> None:
    [finding] = check_views(Routes(unguarded=("GET /a (a)", "POST /b (b)")))

    assert (finding.check, finding.mark) == ("views", "warning")
    assert finding.found == "can be reached without a policy: GET /a (a), POST /b (b)"
    assert 'FOREIGN_TOKEN_PROTECT="all"' in finding.remedy[0]


def test_views_whose_guard_is_not_passed_fail() -> None:
    [finding] = check_views(Routes(open=("a", "b")))

    assert (finding.check, finding.mark) == ("views", "failed")
    assert finding.found.endswith(": a, b")


def test_where_every_view_is_guarded_all_is_well() -> None:
    assert [(finding.check, finding.mark) for finding in check_views(Routes())] == [("views", "ok")]


def test_a_policy_that_a_guard_asks_for_in_vain_fails_with_a_remedy() -> None:
    [asked, hidden] = check_guards([Issue("view 'a'", "", "asks"), Issue("AccessPolicy/b", "id", "is also")])

    assert {asked.check, hidden.check} == {"policy"}
    assert {asked.mark, hidden.mark} == {"failed"}
    assert (bool(asked.remedy), bool(hidden.remedy)) == (True, False)
