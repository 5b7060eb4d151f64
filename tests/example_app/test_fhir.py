from __future__ import annotations

from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask

JSON = "application/fhir+json"


def test_a_search_answers_a_bundle_of_all_patients(example: Flask, tutorial_issuer: Issuer) -> None:
    response = ask(example, tutorial_issuer.token(), "/fhir/Patient")

    bundle = response.json
    assert response.status_code == 200
    assert response.mimetype == JSON
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 3)
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == ["Patient"] * 3


def test_every_address_in_a_bundle_answers_the_patient_that_stands_beside_it(
    example: Flask, tutorial_issuer: Issuer
) -> None:
    token = tutorial_issuer.token()
    bundle = ask(example, token, "/fhir/Patient").json

    for entry in bundle["entry"]:
        response = ask(example, token, entry["fullUrl"].removeprefix("http://localhost"))
        assert response.json == entry["resource"]
        assert response.mimetype == JSON


def test_an_unknown_patient_is_an_operation_outcome(example: Flask, tutorial_issuer: Issuer) -> None:
    response = ask(example, tutorial_issuer.token(), "/fhir/Patient/nobody")

    assert response.status_code == 404
    assert response.mimetype == JSON
    assert response.json["resourceType"] == "OperationOutcome"
    assert response.json["issue"][0]["code"] == "not-found"


def test_a_request_without_a_token_sees_no_patient(example: Flask) -> None:
    for path in ("/fhir/Patient", "/fhir/Patient/ada"):
        response = ask(example, None, path)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_resource_begins_with_its_type(example: Flask, tutorial_issuer: Issuer) -> None:
    response = ask(example, tutorial_issuer.token(), "/fhir/Patient/ada")

    assert response.text.startswith('{"resourceType":"Patient"')
