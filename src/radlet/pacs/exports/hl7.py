"""A report as an HL7 version 2.5.1 message ORU^R01; a draft is preliminary, a signed report final."""

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message

from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identifiers import observation_code, uid_of
from radlet.pacs.outputs.identity import MANUFACTURER
from radlet.pacs.outputs.reports import Signed, name_parts

_VERSION = "2.5.1"
_STATUS = {"preliminary": "P", "final": "F", "amended": "C"}
"""Tables 0123 and 0085: preliminary, final, correction of final results."""
_STATES = {"POSITIVE": "POS", "NEGATIVE": "NEG", "UNCERTAIN": "IND"}
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\r": " ", "\n": " "}
_LONGEST_CONTROL_ID = 20


def oru_r01(facts: ReportFacts) -> bytes:
    """Return a draft or a signed report as a message, segments ended by carriage returns, UTF-8."""
    study, report = facts.study, facts.report
    status = _STATUS[report.status]
    moment = report.moment.strftime("%Y%m%d%H%M%S+0000")
    message = Message("ORU_R01", version=_VERSION, validation_level=VALIDATION_LEVEL.TOLERANT)
    message.msh.msh_3 = MANUFACTURER
    message.msh.msh_7 = moment
    message.msh.msh_9 = "ORU^R01^ORU_R01"
    message.msh.msh_10 = uid_of(report.id, "hl7", "instance")[-_LONGEST_CONTROL_ID:]
    message.msh.msh_11 = "P"
    message.msh.msh_12 = _VERSION
    message.msh.msh_18 = "UNICODE UTF-8"
    pid = message.add_segment("PID")
    pid.pid_1 = "1"
    pid.pid_3 = escaped(study.patient_id or "")
    pid.pid_5 = _in_hl7_order(study.patient_name or "", "^")
    pid.pid_7 = study.birth_date or ""
    pid.pid_8 = study.sex if study.sex in ("M", "F", "O") else "U"
    request = message.add_segment("OBR")
    request.obr_1 = "1"
    request.obr_3 = escaped(study.accession_number or report.id[:16])
    request.obr_4 = "18748-4^Diagnostic imaging study^LN"
    request.obr_7 = study.study_date or ""
    request.obr_22 = moment
    request.obr_24 = "RAD"
    request.obr_25 = status
    if report.signed:
        request.obr_32 = _interpreter(report.signed)
    for number, (kind, name, value) in enumerate(_results(facts), 1):
        result = message.add_segment("OBX")
        result.obx_1, result.obx_2, result.obx_3 = str(number), kind, name
        result.obx_4 = str(number)
        result.obx_5 = value
        result.obx_11 = status
        result.obx_14 = moment
    return (str(message.to_er7()).rstrip("\r") + "\r").encode()


def escaped(text: str) -> str:
    """Return a text with HL7's delimiters escaped (2.7.1)."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _interpreter(signed: Signed) -> str:
    """Return who signed, as the first component of NDL: a CNN (2.A.49, 2.A.11), suffix before prefix."""
    return f"{escaped(signed.account)}&{_in_hl7_order(signed.name, '&')}".rstrip("&")


def _in_hl7_order(name: str, delimiter: str) -> str:
    """Return a DICOM person name as HL7 orders its parts: alike, but for the suffix before the prefix."""
    family, given, middle, prefix, suffix = name_parts(name)
    return delimiter.join(escaped(part) for part in (family, given, middle, suffix, prefix)).rstrip(delimiter)


def _results(facts: ReportFacts) -> list[tuple[str, str, str]]:
    """Return kind, identifier and value of each OBX: what wrote it, its sentences, its findings, its study."""
    rows = [("TX", "59776-5^Findings^LN", escaped(line)) for line in (*facts.report.provenance, *facts.report.lines)]
    # What software found in a draft is not what somebody signed.
    for finding in () if facts.report.signed else facts.draft.findings:
        if finding["state"] in _STATES:
            code = observation_code(finding["observation"])
            name = f"{code.value}^{escaped(code.meaning)}^{code.scheme_designator}"
            rows.append(("CWE", name, f"{_STATES[finding['state']]}^{finding['state'].capitalize()}^99RADLET"))
    if facts.study.study_uid:
        rows.append(("TX", "113014^DICOM Study^DCM", facts.study.study_uid))
    return rows
