"""The labeller reads state, side and severity as a radiologist would."""

import csv
import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import OBSERVATIONS, State
from radlet.data.lexicon import OBSERVATION_GRAMMAR
from radlet.data.observations import find_mentions, label_report
from radlet.data.sources.synthetic.source import SyntheticSource

P, N, U = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN


def states(text: str) -> dict[str, State]:
    """Return what a text mentions, without the conclusion."""
    return {
        name: state
        for name, state in label_report(text).items()
        if state is not State.UNMENTIONED and name != "No Finding"
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion but atelectasis.", {"Pleural Effusion": N, "Atelectasis": P}),
        ("No consolidation, edema, or large effusion.", {"Consolidation": N, "Edema": N, "Pleural Effusion": N}),
        ("No pneumothorax, large left effusion.", {"Pneumothorax": N, "Pleural Effusion": P}),
        ("No pneumothorax, mild edema.", {"Pneumothorax": N, "Edema": P}),
        ("No effusion and the heart is enlarged.", {"Pleural Effusion": N, "Cardiomegaly": P}),
        ("Without effusion.", {"Pleural Effusion": N}),
        ("Negative for pneumonia.", {"Pneumonia": N}),
        ("Lungs are free of consolidation.", {"Consolidation": N}),
        ("Lungs clear of airspace disease or edema.", {"Lung Opacity": N, "Edema": N}),
        ("Neither effusion nor pneumothorax.", {"Pleural Effusion": N, "Pneumothorax": N}),
        ("Effusion is not seen.", {"Pleural Effusion": N}),
        ("The effusion has resolved.", {"Pleural Effusion": N}),
        ("The pneumothorax is no longer present.", {"Pneumothorax": N}),
        ("Resolution of edema.", {"Edema": N}),
        ("The endotracheal tube has been removed.", {"Support Devices": N}),
        ("No evidence for pneumonia; however, an effusion persists.", {"Pneumonia": N, "Pleural Effusion": P}),
        ("Cardiomegaly without edema.", {"Cardiomegaly": P, "Edema": N}),
        ("No opacity to suggest pneumonia.", {"Lung Opacity": N, "Pneumonia": N}),
        ("Lungs without acute consolidation or effusion.", {"Consolidation": N, "Pleural Effusion": N}),
        ("Resolved pneumonia.", {"Pneumonia": N}),
        ("Smaller effusion with resolved edema.", {"Pleural Effusion": P, "Edema": N}),
        ("Edema resolved since yesterday, effusion persists.", {"Edema": N, "Pleural Effusion": P}),
        ("Effusion is stable and pneumothorax has resolved.", {"Pleural Effusion": P, "Pneumothorax": N}),
        ("Effusion and pneumothorax have resolved.", {"Pleural Effusion": N, "Pneumothorax": N}),
        ("Chest tube removed, no pneumothorax.", {"Support Devices": N, "Pneumothorax": N}),
        ("Pneumonia is unlikely.", {"Pneumonia": N}),
        ("Opacity unlikely to represent pneumonia.", {"Lung Opacity": P, "Pneumonia": N}),
        ("The film fails to show an effusion.", {"Pleural Effusion": N}),
        ("Atelectasis rather than pneumonia.", {"Atelectasis": P, "Pneumonia": N}),
        ("Pleural effusion: none. Pneumothorax: absent.", {"Pleural Effusion": N, "Pneumothorax": N}),
        ("Pneumothorax - none.", {"Pneumothorax": N}),
        ("Pleura: no effusion. Bones: no fracture.", {"Pleural Effusion": N, "Fracture": N}),
        ("Heart: normal.", {"Cardiomegaly": N}),
        ("Consolidation, edema, and effusion are not seen.", {"Consolidation": N, "Edema": N, "Pleural Effusion": N}),
    ],
)  # fmt: skip
def test_negation(text: str, expected: dict[str, State]) -> None:
    assert states(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "No change in effusion.",
        "No significant interval change in the effusion.",
        "Stable effusion.",
        "The effusion is unchanged.",
        "The effusion has not changed.",
        "The effusion is not significantly improved.",
        "The effusion has nearly resolved.",
        "The effusion has decreased.",
        "Findings strongly suggestive of effusion.",
        "No resolution of the effusion.",
        "Incomplete resolution of the effusion.",
        "Effusion, not previously seen.",
        "Effusion that was not present on the prior film.",
        "Known effusion.",
        "Resolving effusion.",
    ],
)
def test_denied_change_is_no_denied_finding(text: str) -> None:
    assert states(text) == {"Pleural Effusion": P}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Opacity may represent pneumonia.", {"Lung Opacity": P, "Pneumonia": U}),
        ("Possible effusion.", {"Pleural Effusion": U}),
        ("Cannot exclude effusion.", {"Pleural Effusion": U}),
        ("A small effusion cannot be excluded.", {"Pleural Effusion": U}),
        ("Consolidation suspicious for pneumonia.", {"Consolidation": P, "Pneumonia": U}),
        ("Questionable effusion.", {"Pleural Effusion": U}),
        ("Small effusions suspected.", {"Pleural Effusion": U}),
        ("Atelectasis versus pneumonia.", {"Atelectasis": U, "Pneumonia": U}),
        ("Atelectasis or pneumonia.", {"Atelectasis": U, "Pneumonia": U}),
        ("Atelectasis or scarring.", {"Atelectasis": P}),
        ("Cardiomegaly; pneumonia not excluded.", {"Cardiomegaly": P, "Pneumonia": U}),
        ("Possible pneumonia, stable cardiomegaly.", {"Pneumonia": U, "Cardiomegaly": P}),
        ("Atelectasis is present, effusion is possible.", {"Atelectasis": P, "Pleural Effusion": U}),
        ("The heart is borderline in size.", {"Cardiomegaly": U}),
        ("No change in effusion or pneumothorax.", {"Pleural Effusion": P, "Pneumothorax": P}),
        ("Opacity due to scarring or atelectasis.", {"Lung Opacity": P, "Atelectasis": P}),
        ("Effusions and/or atelectasis.", {"Pleural Effusion": P, "Atelectasis": P}),
        ("Consider pneumonia.", {"Pneumonia": U}),
        ("Pneumonia should be considered.", {"Pneumonia": U}),
        ("Pneumonia would be a consideration.", {"Pneumonia": U}),
        ("Doubtful effusion.", {"Pleural Effusion": U}),
        ("Effusion, if any, is small.", {"Pleural Effusion": U}),
        ("Small effusion? Edema.", {"Pleural Effusion": U, "Edema": P}),
        ("Atelectasis, ?pneumonia.", {"Atelectasis": P, "Pneumonia": U}),
        ("Likely atelectasis, less likely pneumonia.", {"Atelectasis": P, "Pneumonia": U}),
        ("Pneumonia less likely than atelectasis.", {"Pneumonia": U, "Atelectasis": P}),
        ("Atelectasis is favored over pneumonia.", {"Atelectasis": P, "Pneumonia": U}),
        ("Consistent with pneumonia in the appropriate clinical setting.", {"Pneumonia": U}),
        ("In the proper clinical context, compatible with pneumonia.", {"Pneumonia": U}),
        ("Differential considerations include pneumonia and mild edema.", {"Pneumonia": U, "Edema": U}),
    ],
)
def test_uncertainty(text: str, expected: dict[str, State]) -> None:
    assert states(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heart size is normal.", {"Cardiomegaly": N}),
        ("Normal heart size.", {"Cardiomegaly": N}),
        ("Heart size is at the upper limits of normal.", {"Cardiomegaly": N}),
        ("The heart is not enlarged.", {"Cardiomegaly": N}),
        ("Large heart.", {"Cardiomegaly": P}),
        ("The heart is large.", {"Cardiomegaly": P}),
        ("Heart size remains large, and the lungs are clear.", {"Cardiomegaly": P}),
        ("The heart is not large.", {"Cardiomegaly": N}),
        ("No large heart.", {"Cardiomegaly": N}),
        ("Mild prominence of the cardiac silhouette.", {"Cardiomegaly": P}),
        ("HEART: Enlarged. MEDIASTINUM: Normal.", {"Cardiomegaly": P, "Enlarged Cardiomediastinum": N}),
        ("The heart is mildly enlarged.", {"Cardiomegaly": P}),
        ("Enlarged cardiac silhouette.", {"Cardiomegaly": P}),
        ("No cardiac enlargement.", {"Cardiomegaly": N}),
        ("Mediastinal contours are normal.", {"Enlarged Cardiomediastinum": N}),
        ("The superior mediastinum is widened.", {"Enlarged Cardiomediastinum": P}),
        ("The cardiomediastinal silhouette is normal.", {"Cardiomegaly": N, "Enlarged Cardiomediastinum": N}),
        ("Heart and mediastinum normal.", {"Cardiomegaly": N, "Enlarged Cardiomediastinum": N}),
        ("The heart is normal and the mediastinum is widened.", {"Cardiomegaly": N, "Enlarged Cardiomediastinum": P}),
        ("Stable cardiomediastinal silhouette.", {}),
        ("The lungs are clear.", {}),
        ("Bony structures are intact.", {"Fracture": N}),
        ("Osseous structures are normal.", {}),
    ],
)
def test_normal_and_enlarged_structures(text: str, expected: dict[str, State]) -> None:
    assert states(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "History of pneumonia.",
        "Evaluate for pneumothorax.",
        "Rule out edema.",
        "Pericardial effusion.",
        "Soft tissue edema.",
        "Old granulomatous infection.",
        "Sequela of prior tuberculous pneumonia.",
        "Please exclude pneumonia.",
        "Indication: pneumonia.",
        "Vertebral body collapse.",
        "Heart size cannot be assessed.",
        "No acute cardiopulmonary abnormality.",
        "",
    ],
)
def test_what_is_no_mention(text: str) -> None:
    assert states(text) == {}
    assert label_report(text)["No Finding"] is P


@pytest.mark.parametrize(
    ("text", "observation"),
    [
        ("Collapsed left lower lobe.", "Atelectasis"),
        ("The right lung has collapsed.", "Atelectasis"),
        ("Left basilar collapse.", "Atelectasis"),
        ("Nodular left lower lobe opacity.", "Lung Lesion"),
        ("Apical pleural air.", "Pneumothorax"),
        ("Nondisplaced fracture.", "Fracture"),
        ("Non-displaced fracture.", "Fracture"),
        ("Prosthetic mitral valve.", "Support Devices"),
        ("Lines and tubes are unchanged.", "Support Devices"),
        ("Spinal screws.", "Support Devices"),
    ],
)
def test_wordings_of_one_observation(text: str, observation: str) -> None:
    assert states(text) == {observation: P}


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Left pleural effusion.", ["left"]),
        ("Effusion on the right.", ["right"]),
        ("Effusions, left greater than right.", ["bilateral"]),
        ("Bilateral effusions, left greater than right, with adjacent atelectasis.", ["bilateral", "bilateral"]),
        ("Left effusion and right lower lobe consolidation.", ["left", "right"]),
        ("Atelectasis at the left base and right upper lobe nodule.", ["left", "right"]),
        ("Left effusion and atelectasis.", ["left", "left"]),
        ("Effusion and atelectasis on the left.", ["left", "left"]),
        ("In the right lower lobe, there is consolidation.", ["right"]),
        ("Consolidation in the right and left lower lobes.", ["bilateral"]),
        ("Atelectasis in the lingula.", ["left"]),
        ("Right PICC line, no pneumothorax.", ["right", None]),
        ("Left effusion. Consolidation.", ["left", None]),
        ("Cardiomegaly with left effusion.", [None, "left"]),
        ("Small effusion, left lung is clear.", [None]),
    ],
)
def test_sides(text: str, sides: list[str | None]) -> None:
    assert [mention.side for mention in find_mentions(text)] == sides


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Small effusion.", "mild"),
        ("Mild to moderate edema.", "moderate"),
        ("Moderate-to-large effusion.", "severe"),
        ("The heart is severely enlarged.", "severe"),
        ("Large heart and effusion.", None),
        ("Effusion.", None),
    ],
)
def test_severity(text: str, severity: str | None) -> None:
    assert find_mentions(text)[-1].severity == severity


def test_offsets_lie_in_the_text_itself() -> None:
    text = "\u0130mpression\nNo PNEUMOTHORAX.\n\n2. Left\neffusion."
    assert [text[mention.start : mention.end] for mention in find_mentions(text)] == ["PNEUMOTHORAX", "effusion"]


def test_strongest_mention_counts() -> None:
    assert states("No edema. Possible edema.") == {"Edema": U}
    assert states("Edema. No edema.") == {"Edema": P}


def test_no_finding() -> None:
    assert label_report("Left pacemaker. No edema.")["No Finding"] is P
    assert label_report("Possible edema.")["No Finding"] is State.UNMENTIONED


def test_synthetic_reports_are_read_as_they_were_meant() -> None:
    """By CheXpert's convention, "the lungs are clear" names no observation; all else is read as written."""
    source = SyntheticSource(num_patients=60, uncertain_share=0.3)
    sentences = {s.text: s for _, report in source.reports(seed=5) for s in report.sentences if s.section == "findings"}
    assert len(sentences) > 150
    for sentence in sentences.values():
        meant = {statement.observation: statement.state for statement in sentence.statements}
        if "clear" in sentence.text.lower():
            meant = {}
        assert states(sentence.text) == meant, sentence.text


@given(st.text(max_size=3000))
def test_any_text_is_read(text: str) -> None:
    assert tuple(label_report(text)) == OBSERVATIONS
    for mention in find_mentions(text):
        assert 0 <= mention.start < mention.end <= len(text)


_WORDS = [
    "no",
    "effusion",
    "left",
    ",",
    "or",
    "and",
    "may represent",
    "heart",
    "enlarged",
    "not",
    "with",
    ".",
    "edema",
    "stable",
]


@given(st.lists(st.sampled_from(_WORDS), max_size=60).map(" ".join))
def test_ungrammatical_text_is_read_consistently(text: str) -> None:
    mentions = find_mentions(text)
    labels = label_report(text)
    for name in OBSERVATIONS[:-1]:
        assert (labels[name] is P) == any(mention.state is P for mention in mentions if mention.observation == name)


@pytest.mark.parametrize(
    "unit", ["no ", "effusion, ", "not a", "x", "may ", "left and ", "heart ", "no effusion or ", "1.", "\n"]
)
def test_work_grows_linearly_with_the_text(unit: str) -> None:
    """A sentence is read in bounded pieces, so no repetition of words makes the reading explode."""
    text = unit * (60_000 // len(unit))
    assert len(list(OBSERVATION_GRAMMAR.event.finditer(text))) <= len(text)
    assert len(find_mentions(text)) <= len(text)


@pytest.mark.data
def test_published_samples_of_the_chexpert_labeller(shared_data: Path) -> None:
    names = {"1.0": P, "0.0": N, "-1.0": U, "": State.UNMENTIONED}
    with (shared_data / "text/chexpert_labeler/labeled_reports.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert label_report(row["Reports"]) == {name: names[row[name]] for name in OBSERVATIONS}


@pytest.mark.data
def test_agreement_with_gold_labels(shared_data: Path, repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("agreement", repository / "bench/labeller.py")
    assert spec is not None
    assert spec.loader is not None
    agreement = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agreement)
    held = agreement.load(shared_data)["held"]
    assert agreement.micro_f1(held, {P}, agreement.NAMED_ALIKE) >= 0.90
