"""A report as FHIR R4B: a bundle of DiagnosticReport, Observations and ImagingStudy; a draft's are preliminary.

Identifiers of the institution's own systems (patient, accession number) are given as identifiers, not as references:
radlet does not know the addresses of their resources.
"""

import uuid
from datetime import datetime
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identifiers import observation_code, uid_of
from radlet.pacs.outputs.reports import NOTICE, Report

_UIDS = "urn:dicom:uid"
_SYSTEMS = {"SCT": "http://snomed.info/sct", "99RADLET": "urn:radlet:observations"}
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_STATES = {"POSITIVE": ("POS", "Positive"), "NEGATIVE": ("NEG", "Negative"), "UNCERTAIN": ("IND", "Indeterminate")}
_SERVICE = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD", "display": "Radiology"}
_REPORT = {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}


def fhir_bundle(facts: ReportFacts) -> bytes:
    """Return a draft or a signed report as a FHIR R4B bundle of kind collection, JSON."""
    observations = [_entry(facts, f"observation-{number}", one) for number, one in enumerate(_observations(facts))]
    imaging = [_entry(facts, "imaging-study", _imaging_study(facts))] if facts.study.study_uid else []
    report = _entry(facts, "report", _report(facts, observations, imaging))
    bundle = Bundle.model_validate(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "timestamp": _moment(facts.report.moment),
            "identifier": {"system": _UIDS, "value": f"urn:oid:{uid_of(facts.report.id, 'fhir', 'instance')}"},
            "entry": [report, *observations, *imaging],
        }
    )
    return f"{bundle.model_dump_json(indent=2)}\n".encode()


def _entry(facts: ReportFacts, what: str, resource: dict[str, Any]) -> dict[str, Any]:
    # A UID of the form 2.25 is a UUID (PS3.5 B.2): the same resource has the same address each time.
    number = int(uid_of(facts.report.id, "fhir", what).removeprefix("2.25."))
    return {"fullUrl": f"urn:uuid:{uuid.UUID(int=number)}", "resource": resource}


def _report(facts: ReportFacts, observations: list[dict[str, Any]], imaging: list[dict[str, Any]]) -> dict[str, Any]:
    study, told = facts.study, facts.report
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "status": told.status,
        "category": [{"coding": [_SERVICE]}],
        "code": {"coding": [_REPORT], "text": "Chest X-ray"},
        "subject": _subject(facts),
        "issued": _moment(told.moment),
        "performer": [_performer(told)],
        "result": [{"reference": one["fullUrl"]} for one in observations],
        "imagingStudy": [{"reference": one["fullUrl"]} for one in imaging],
        "conclusion": "\n".join([f"{told.notice}.", told.text, *told.provenance]),
    }
    if told.signed:
        report["resultsInterpreter"] = [_performer(told)]
    if study.accession_number:
        report["identifier"] = [_accession(study.accession_number)]
    date = _date(study.study_date)
    return {key: value for key, value in {**report, "effectiveDateTime": date}.items() if value}


def _performer(told: Report) -> dict[str, Any]:
    if told.signed:
        return {"type": "Practitioner", "display": f"{told.signed.plain_name}, {told.signed.organization}"}
    draft = told.draft
    return {"display": f"{draft.model} ({draft.checkpoint_digest}); {NOTICE}" if draft else NOTICE}


def _observations(facts: ReportFacts) -> list[dict[str, Any]]:
    if facts.report.signed:
        return []  # software found them in a draft: nobody signed the codes
    found = []
    for finding in facts.draft.findings:
        state = _STATES.get(finding["state"])
        if state is None:
            continue
        code = observation_code(finding["observation"])
        system = _SYSTEMS[code.scheme_designator]
        found.append(
            {
                "resourceType": "Observation",
                "status": "preliminary",
                "code": {
                    "coding": [{"system": system, "code": code.value, "display": code.meaning}],
                    "text": finding["observation"],
                },
                "subject": _subject(facts),
                "issued": _moment(facts.draft.created_at),
                "interpretation": [{"coding": [{"system": _INTERPRETATION, "code": state[0], "display": state[1]}]}],
                "device": {"display": f"{facts.draft.model} ({facts.draft.checkpoint_digest})"},
                "note": [{"text": NOTICE}],
            }
        )
    return found


def _imaging_study(facts: ReportFacts) -> dict[str, Any]:
    study = facts.study
    imaging: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": _UIDS, "value": f"urn:oid:{study.study_uid}"}],
        "subject": _subject(facts),
        "numberOfInstances": len(study.images),
    }
    if study.accession_number:
        imaging["identifier"].append(_accession(study.accession_number))
    date = _date(study.study_date)
    return {**imaging, "started": date} if date else imaging


def _subject(facts: ReportFacts) -> dict[str, Any]:
    patient_id = facts.study.patient_id
    if not patient_id:
        return {"type": "Patient", "display": "unknown"}
    return {"type": "Patient", "identifier": {"value": patient_id}}


def _accession(number: str) -> dict[str, Any]:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}
    return {"type": {"coding": [kind]}, "value": number}


def _moment(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()


def _date(date: str | None) -> str | None:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else None
