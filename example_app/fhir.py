"""The views: patients as FHIR shows them, for those whom a stored policy lets in."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, request, url_for
from sqlalchemy import select

from flask_foreign_token import require_policy

from .models import Patient, db, make_samples

fhir = Blueprint("fhir", __name__, url_prefix="/fhir")


@fhir.get("/Patient")
@require_policy
def search_patients() -> Response:
    patients = db.session.scalars(select(Patient).order_by(Patient.id)).all()
    return _answer(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(patients),
            "link": [{"relation": "self", "url": request.url}],
            "entry": [
                {
                    "fullUrl": url_for(".read_patient", patient_id=patient.id, _external=True),
                    "resource": patient.resource,
                    "search": {"mode": "match"},
                }
                for patient in patients
            ],
        }
    )


@fhir.get("/Patient/<patient_id>")
@require_policy
def read_patient(patient_id: str) -> Response:
    patient = db.session.get(Patient, patient_id)
    if patient is not None:
        return _answer(patient.resource)
    issue = {"severity": "error", "code": "not-found", "diagnostics": f"Patient/{patient_id} is not known"}
    return _answer({"resourceType": "OperationOutcome", "issue": [issue]}, status=404)


@fhir.before_request
def make_samples_once() -> None:
    """Have something to show at the first request, whichever process it reaches."""
    if "example_app" not in current_app.extensions:
        make_samples(db.engine)
        current_app.extensions["example_app"] = True


def _answer(resource: dict[str, object], status: int = 200) -> Response:
    response = jsonify(resource)
    response.status_code = status
    response.mimetype = "application/fhir+json"
    return response
