"""Which test keeps out the mistake that others made, by the first identifier of each row of the advisories.

The rows lie with the vectors; what happened elsewhere stands there.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from ..requirements import TESTS
from ..vectors import read

FILE = "requirements/advisories.json"

_HERE = "standards/test_advisories.py::"
_JOSE = "standards/test_jose.py::"
_TOKENS = "standards/test_access_tokens.py::"
_REQUESTS = "standards/test_requests.py::"
_USERS = "standards/test_users.py::"
_STRUCTURE = "attacks/test_structure.py::"

COVERED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CVE-2026-27962": (_TOKENS + "test_where_a_token_says_that_keys_are_nobody_looks",),
        "CVE-2026-28802": (_JOSE + "test_algorithms_that_are_not_current_are_neither_taken_nor_allowed",),
        "CVE-2025-59420": (_JOSE + "test_whatever_is_said_to_be_critical_is_refused",),
        "GHSA-gg9x-qcx2-xmrh": (
            _JOSE + "test_a_secret_that_was_never_set_verifies_nothing",
            _HERE + "test_a_secret_that_is_emptied_while_the_app_runs_verifies_nothing_more",
        ),
        "CVE-2026-48526": (_HERE + "test_a_key_in_any_form_is_not_stored_as_a_secret",),
        "github/advisory-database#7123": (
            _HERE + "test_a_key_in_any_form_is_not_stored_as_a_secret",
            _JOSE + "test_a_public_key_is_no_secret",
        ),
        "CVE-2026-22817": (
            _JOSE + "test_a_key_serves_one_algorithm",
            _JOSE + "test_of_several_algorithms_a_key_that_states_none_serves_one",
        ),
        "CVE-2026-48522 (GHSA-993g-76c3-p5m4)": (_HERE + "test_an_address_of_another_scheme_is_not_stored",),
        "GHSA-75c5-xw7c-p5pm": (_TOKENS + "test_the_keys_of_one_issuer_verify_no_token_of_another",),
        "CVE-2026-25537": (
            "introspection/test_claims.py::test_what_is_not_a_time_is_refused",
            "introspection/test_claims.py::test_an_audience_of_the_wrong_type_is_refused_whether_or_not_it_is_checked",
        ),
        "CVE-2026-22748": (_HERE + "test_every_way_of_configuring_an_introspector_checks_everything",),
        "CVE-2026-40946": (
            _TOKENS + "test_an_introspector_that_names_no_audience_is_refused_unless_that_is_asked_for",
        ),
        "GHSA-4mq7-pvjg-xp2r": (
            _HERE + "test_what_one_introspector_verified_counts_for_no_other",
            _HERE + "test_what_one_app_verified_counts_for_no_other",
        ),
        "dadrus/heimdall#3452": (_HERE + "test_what_a_view_asks_for_is_asked_of_known_tokens_too",),
        "authup/authup#3210": (
            "standards/test_opaque.py::test_what_has_ended_is_not_remembered_as_active",
            "test_cache.py::test_what_has_no_future_is_not_remembered_and_ends_what_was_there",
        ),
        "GHSA-p224-6x5r-fjpm": (
            _REQUESTS + "test_what_no_policy_opens_is_shut_however_it_is_written",
            _REQUESTS + "test_what_a_proxy_might_say_changes_nothing_unless_the_app_believes_it",
        ),
        "CVE-2026-40575": (_REQUESTS + "test_what_a_proxy_might_say_changes_nothing_unless_the_app_believes_it",),
        "GHSA-c5c4-8r6x-56w3": (_HERE + "test_nobody_is_found_by_what_they_say_of_themselves",),
        "CVE-2026-9087": (_HERE + "test_nobody_is_found_by_what_they_say_of_themselves",),
        "CVE-2026-8922": ("introspection/test_opaque.py::test_an_answer_counts_for_the_time_that_is_configured",),
        "GHSA-gv94-wp4h-vv8p": ("test_credentials.py::test_a_malformed_bearer_header_is_refused",),
        "DRUPAL-CONTRIB-2026-027": ("users/test_provisioning.py::test_subjects_are_kept_apart_byte_by_byte",),
        "mcdonc/klangk#166": (
            _HERE + "test_nobody_is_found_by_what_they_say_of_themselves",
            _USERS + "test_a_subject_that_looks_like_the_key_of_a_user_is_another_user",
        ),
        "Flowfin/jellyfin-plugin-sso#554": (
            _USERS + "test_a_provider_that_is_pointed_at_another_issuer_takes_no_users_along",
        ),
        "GHSA-jc38-x7x8-2xc8": (_STRUCTURE + "test_json_serializations_are_refused",),
        "GHSA-869p-cjfg-cm3x": (_TOKENS + "test_a_kid_chooses_among_the_keys_that_are_known_and_does_nothing_else",),
        "CVE-2025-61920": (
            _STRUCTURE + "test_what_has_not_three_parts_in_order_is_refused",
            _STRUCTURE + "test_an_encrypted_token_is_refused",
            _STRUCTURE + "test_what_is_nested_too_deeply_is_refused",
        ),
        "CVE-2025-65015": (
            _HERE + "test_nothing_of_a_token_that_is_refused_reaches_log_or_answer",
            "test_errors_on_the_wire.py::test_tokens_reach_no_log",
        ),
        "HAProxy jwt, 2026": (_JOSE + "test_a_signature_of_ecdsa_has_the_length_of_its_curve",),
        "CVE-2026-31923": (
            _HERE + "test_no_setting_and_no_variable_turns_the_checks_of_certificates_off",
            "test_http_tls.py::test_a_certificate_that_nobody_vouches_for_is_refused",
        ),
        "icanbwell/fhir-server#2477": (_TOKENS + "test_what_an_issuer_signs_for_another_purpose_opens_nothing",),
        "openpubkey/opkssh#596": (_HERE + "test_a_policy_that_looks_at_nothing_is_not_stored",),
    }
)


def published() -> list[str]:
    """The first identifier of each row.

    :raises FileNotFoundError: the vectors are absent.
    """
    return [row["ids"][0] for row in read(FILE)]


def is_there(test: str) -> bool:
    """Whether `test`, its file below ``tests/`` and its name, exists."""
    file, _, name = test.partition("::")
    return name in _names_in(file)


@cache
def _names_in(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
