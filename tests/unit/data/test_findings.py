"""What is read of a report as statements: what is there, where, how much, how large, and compared with what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import State
from radlet.core.statements import CONCEPTS, Statement, generalisations
from radlet.data.findings import find_statements, read_statements
from radlet.data.findings_lexicon import FINDING_GRAMMAR, OF_OBSERVATION

P, N, U = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN


def only(text: str) -> Statement:
    statements = read_statements(text)
    assert len(statements) == 1, statements
    return statements[0]


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Thoracic aortic aneurysm.", "aneurysm"),
        ("The thoracic aorta is tortuous.", "tortuous aorta"),
        ("Calcifications of the aortic arch.", "atherosclerosis"),
        ("Bilateral hilar lymphadenopathy.", "lymphadenopathy"),
        ("Enlarged hilar lymph nodes.", "lymphadenopathy"),
        ("Pneumomediastinum.", "pneumomediastinum"),
        ("Subcutaneous emphysema of the chest wall.", "subcutaneous air"),
        ("Emphysematous changes.", "emphysema"),
        ("Air under the right hemidiaphragm.", "free air"),
        ("Flattened diaphragms.", "hyperinflation"),
        ("Calcified granuloma in the left lung.", "granuloma"),
        ("Small hiatal hernia.", "hernia"),
        ("Degenerative changes of the spine.", "degenerative change"),
        ("Dextroscoliosis.", "scoliosis"),
        ("Wedge deformity of a thoracic vertebra.", "compression fracture"),
        ("Old healed right rib fractures.", "old fracture"),
        ("Fractures of the left lower ribs.", "rib fracture"),
        ("Tension pneumothorax.", "tension pneumothorax"),
        ("Pulmonary vascular congestion.", "congestion"),
        ("Right lower lobe collapse.", "collapse"),
        ("Right PICC line.", "picc"),
        ("An ETT is seen.", "endotracheal tube"),
        ("Blunting of the left costophrenic angle.", "pleural effusion"),
        ("The heart is enlarged.", "cardiomegaly"),
        ("Widened mediastinum.", "mediastinal widening"),
        ("Low lung volumes.", "low lung volumes"),
        ("Median sternotomy wires.", "sternal wires"),
    ],
)
def test_concepts(text, concept):
    assert only(text).concept == concept
    assert only(text).state is P


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No free air.", N),
        ("There is no lymphadenopathy.", N),
        ("Possible granuloma.", U),
        ("Aortic aneurysm cannot be excluded.", U),
        ("The aneurysm has resolved.", N),
        ("History of emphysema.", None),
    ],
)
def test_denials_and_hedges_hold_for_every_concept(text, state):
    assert [statement.state for statement in read_statements(text)] == ([] if state is None else [state])


@pytest.mark.parametrize(
    ("text", "size_mm"),
    [
        ("5 cm mass in the right lung.", 50),
        ("Right lung mass measuring 5 cm.", 50),
        ("A 12 mm nodule in the left upper lobe.", 12),
        ("Nodule of 1.4 x 2.1 cm in the left lung.", 21),
        ("A 2-3 cm mass in the left lung.", 30),
        ("2 cm right apical pneumothorax.", 20),
        ("ETT tip 5 cm above the carina.", None),
        ("Right effusion.", None),
    ],
)
def test_sizes(text, size_mm):
    assert only(text).size_mm == size_mm


@pytest.mark.parametrize(
    ("text", "side", "zones"),
    [
        ("Consolidation in the right lower lobe.", "right", ("lower",)),
        ("Left apical pneumothorax.", "left", ()),
        ("Left lung opacities in the upper and lower zones.", "left", ("upper", "lower")),
        ("Bibasilar atelectasis.", "bilateral", ("lower",)),
        ("RUL nodule.", None, ("upper",)),
        ("Left midlung opacity.", "left", ("mid",)),
        ("Lingular opacity.", "left", ("mid",)),
        ("Enlarged bilateral hilar lymph nodes.", "bilateral", ()),
        ("Mild left-sided cardiomegaly.", None, ()),
    ],
)
def test_places(text, side, zones):
    assert (only(text).side, only(text).zones) == (side, zones)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Markedly enlarged cardiac silhouette.", "severe"),
        ("The heart is mildly enlarged.", "mild"),
        ("The effusion is small.", "mild"),
        ("Moderate right effusion.", "moderate"),
        ("Right effusion.", None),
    ],
)
def test_degrees(text, severity):
    assert only(text).severity == severity


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("Malpositioned ETT, tip in the right bronchus.", "malpositioned"),
        ("The ET tube terminates in the right mainstem bronchus.", "malpositioned"),
        ("NG tube is coiled in the esophagus.", "malpositioned"),
        ("ETT in satisfactory position.", "satisfactory"),
        ("ETT tip 5 cm above the carina.", "satisfactory"),
        ("Right PICC tip in the SVC.", "satisfactory"),
        ("A pacemaker is seen.", None),
        ("Displaced rib fracture.", None),
    ],
)
def test_positions_of_devices(text, position):
    assert only(text).position == position


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("Unchanged cardiomegaly.", "unchanged"),
        ("New left effusion.", "new"),
        ("The left effusion has increased since the prior study.", "increased"),
        ("The left effusion has improved.", "decreased"),
        ("A nodule, increased since comparison exam.", "increased"),
        ("Left effusion compared to the prior study.", "compared"),
        ("The previously seen effusion has resolved.", "resolved"),
        ("Left effusion.", None),
    ],
)
def test_changes(text, change):
    assert only(text).change == change


def test_what_goes_with_which_of_two_findings():
    opacity, effusion = read_statements("A 3 cm right upper lobe mass and a small left effusion, which is unchanged.")
    assert (opacity.side, opacity.zones, opacity.size_mm, opacity.severity) == ("right", ("upper",), 30, None)
    assert opacity.change is None
    assert (effusion.side, effusion.size_mm, effusion.severity, effusion.change) == ("left", None, "mild", "unchanged")


def test_places_are_offsets_into_the_text():
    text = "The lungs are clear.\n\nTortuous AORTA. No effusion."
    assert [text[each.start : each.end] for each in find_statements(text)] == ["Tortuous AORTA", "effusion"]


def test_a_finding_that_is_named_twice_is_one():
    text = "Small left effusion. There is a 2 cm nodule in the left lung.\nLeft effusion. 2 cm left upper lobe nodule."
    effusion, nodule = read_statements(text)
    assert (effusion.severity, nodule.zones) == ("mild", ("upper",))


def test_findings_that_contradict_each_other_stay_apart():
    assert len(read_statements("Left effusion. Right effusion.")) == 2
    assert len(read_statements("A 5 mm nodule in the left lung. A 25 mm nodule in the left lung.")) == 2
    assert len(read_statements("Right upper lobe nodule. Right lower lobe nodule.")) == 2


def test_a_finding_and_the_more_general_word_for_it_are_one_within_a_sentence():
    assert only("Right lower lobe opacity consistent with pneumonia.").concept == "pneumonia"
    assert [each.state for each in read_statements("Right lower lobe opacity suggesting pneumonia.")] == [P, U]
    assert len(read_statements("Right lower lobe opacity. Left pneumonia.")) == 2


def test_every_word_leads_to_a_known_concept():
    for name in FINDING_GRAMMAR.mentions.values():
        assert name in CONCEPTS
    assert set(OF_OBSERVATION.values()) <= set(CONCEPTS)
    assert set(FINDING_GRAMMAR.mentions.values()) == set(CONCEPTS)


@pytest.mark.parametrize("name", sorted(CONCEPTS))
def test_concepts_form_a_tree(name):
    above = list(generalisations(name))
    assert name not in above
    assert len(set(above)) == len(above)
    assert set(above) <= set(CONCEPTS)


@given(st.text(max_size=300))
def test_any_text_is_read(text):
    for statement in find_statements(text):
        assert 0 <= statement.start < statement.end <= len(text)
    assert len(read_statements(text)) <= len(find_statements(text))


@pytest.mark.parametrize("unit", ["no ", "effusion, ", "5 cm ", "left ", "aorta ", "pulmonary ", "of the ", "tip in "])
def test_work_grows_linearly_with_the_text(unit):
    assert len(find_statements(unit * (40_000 // len(unit)))) <= 40_000
