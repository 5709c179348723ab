"""A draft as an HL7 version 2.5.1 message ORU^R01, status preliminary."""

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message

from radlet.pacs.outputs.facts import DraftFacts
from radlet.pacs.outputs.identity import MANUFACTURER, observation_code, provenance, uid_of
from radlet.pacs.outputs.text_sr import sentences

_VERSION = "2.5.1"
_PRELIMINARY = "P"
_CODING = {"SCT": "SCT", "99RADLET": "99RADLET"}
_STATES = {"POSITIVE": "POS", "NEGATIVE": "NEG", "UNCERTAIN": "IND"}
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\r": " ", "\n": " "}
_LONGEST_CONTROL_ID = 20


def oru_r01(facts: DraftFacts) -> bytes:
    """Return a draft as a message, segments ended by carriage returns, UTF-8."""
    study, draft = facts.study, facts.draft
    moment = draft.created_at.strftime("%Y%m%d%H%M%S+0000")
    message = Message("ORU_R01", version=_VERSION, validation_level=VALIDATION_LEVEL.TOLERANT)
    message.msh.msh_3 = MANUFACTURER
    message.msh.msh_7 = moment
    message.msh.msh_9 = "ORU^R01^ORU_R01"
    message.msh.msh_10 = uid_of(draft.id, "hl7", "instance")[-_LONGEST_CONTROL_ID:]
    message.msh.msh_11 = "P"
    message.msh.msh_12 = _VERSION
    message.msh.msh_18 = "UNICODE UTF-8"
    pid = message.add_segment("PID")
    pid.pid_1 = "1"
    pid.pid_3 = escaped(study.patient_id or "")
    # DICOM and HL7 order the parts of a name alike, apart from suffix and prefix.
    pid.pid_5 = "^".join(escaped(part) for part in (study.patient_name or "").split("^"))
    pid.pid_7 = study.birth_date or ""
    pid.pid_8 = study.sex if study.sex in ("M", "F", "O") else "U"
    request = message.add_segment("OBR")
    request.obr_1 = "1"
    request.obr_3 = escaped(study.accession_number or draft.id[:16])
    request.obr_4 = "18748-4^Diagnostic imaging study^LN"
    request.obr_7 = study.study_date or ""
    request.obr_22 = moment
    request.obr_24 = "RAD"
    request.obr_25 = _PRELIMINARY
    for number, (kind, name, value) in enumerate(_results(facts), 1):
        result = message.add_segment("OBX")
        result.obx_1, result.obx_2, result.obx_3 = str(number), kind, name
        result.obx_4 = str(number)
        result.obx_5 = value
        result.obx_11 = _PRELIMINARY
        result.obx_14 = moment
    return (str(message.to_er7()).rstrip("\r") + "\r").encode()


def escaped(text: str) -> str:
    """Return a text with HL7's delimiters escaped (2.7.1)."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _results(facts: DraftFacts) -> list[tuple[str, str, str]]:
    """Return kind, identifier and value of each OBX: what wrote it, its sentences, its findings, its study."""
    rows = [("TX", "59776-5^Findings^LN", escaped(line)) for line in (*provenance(facts.draft), *sentences(facts))]
    for finding in facts.draft.findings:
        if finding["state"] in _STATES:
            code = observation_code(finding["observation"])
            name = f"{code.value}^{escaped(code.meaning)}^{_CODING[code.scheme_designator]}"
            rows.append(("CWE", name, f"{_STATES[finding['state']]}^{finding['state'].capitalize()}^99RADLET"))
    if facts.study.study_uid:
        rows.append(("TX", "113014^DICOM Study^DCM", facts.study.study_uid))
    return rows
