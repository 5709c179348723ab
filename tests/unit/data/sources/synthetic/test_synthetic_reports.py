"""Synthetic reports: every finding stated with its side, nothing present denied, comparison true to the prior."""

import re

import numpy as np
import pytest

from radlet.core.records import OBSERVATIONS, State
from radlet.data.observations import label_report
from radlet.data.sources.synthetic import SyntheticSource
from radlet.data.sources.synthetic.findings import KINDS, Lesion, compatible
from radlet.data.sources.synthetic.grammar import Subject, Wording, change, compose

SOURCE = SyntheticSource(num_patients=300, uncertain_share=0.1)


@pytest.fixture(scope="module")
def written():
    """Return (lesions, report) of many planned studies."""
    return [(patient.exams[index].lesions, SOURCE.report(patient, index)) for patient, index in SOURCE._plans(0)]


def statements(report, section="findings"):
    return [s for sentence in report.sentences if sentence.section == section for s in sentence.statements]


def test_findings_section_states_every_finding_once(written):
    for lesions, report in written:
        stated = [s.finding for s in statements(report) if s.state is State.POSITIVE]
        assert sorted(stated) == list(range(len(lesions)))


def test_sentence_about_a_finding_names_its_side(written):
    for lesions, report in written:
        for sentence in report.sentences:
            for statement in sentence.statements:
                if statement.finding is None or sentence.section != "findings":
                    continue
                side = lesions[statement.finding].side
                if side in ("left", "right"):
                    assert side in sentence.text.lower()
                    assert {"left": "right", "right": "left"}[side] not in sentence.text.lower()


def test_only_what_is_absent_is_denied_or_hedged(written):
    for lesions, report in written:
        present = {lesion.observation for lesion in lesions}
        for statement in statements(report):
            if statement.state is not State.POSITIVE:
                assert statement.observation not in present
                assert statement.finding is None


def test_hedged_sentences_are_rare_and_contradict_no_other(written):
    hedged = 0
    for _, report in written:
        states = {}
        for statement in statements(report):
            assert states.setdefault(statement.observation, statement.state) == statement.state
        hedged += State.UNCERTAIN in states.values()
    assert 0.04 < hedged / len(written) < 0.2


def test_statements_name_known_observations(written):
    for _, report in written:
        for section in ("findings", "impression"):
            assert {statement.observation for statement in statements(report, section)} <= set(OBSERVATIONS)


def test_rule_labeller_reads_the_truth(written):
    agreed = total = invented = 0
    for lesions, report in written:
        read = label_report(report.section("findings"))
        present = {lesion.observation for lesion in lesions}
        total += len(present)
        agreed += sum(read[name] is State.POSITIVE for name in present)
        positive = {name for name, state in read.items() if state is State.POSITIVE} - {"No Finding"}
        invented += len(positive - present)
    assert agreed >= 0.99 * total
    assert invented <= 0.01 * total


def test_wording_varies_but_stays_small(written):
    findings = [report.section("findings") for _, report in written]
    assert len(set(findings)) > 0.8 * len(findings)
    vocabulary = set(re.findall(r"[a-z]+", " ".join(findings).lower()))
    assert 80 < len(vocabulary) < 400
    assert 12 < np.median([len(text.split()) for text in findings]) < 60


def test_reports_come_with_headings_and_without(written):
    headed = [bool(re.search(r"^findings\b", report.text, re.IGNORECASE | re.MULTILINE)) for _, report in written]
    assert 0.75 < np.mean(headed) < 0.95


LESION = Lesion("effusion", "left", "lower", "moderate", None, seed=7)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ((), "new"),
        ((LESION,), "unchanged"),
        ((Lesion("effusion", "left", "lower", "mild", None, seed=7),), "worse"),
        ((Lesion("effusion", "left", "lower", "severe", None, seed=7),), "improved"),
        ((Lesion("effusion", "left", "lower", "moderate", None, seed=8),), "new"),
    ],
)
def test_change_is_computed_from_the_prior(before, expected):
    assert change(LESION, before) == expected


def test_resolved_finding_is_denied_not_stated():
    subject = Subject((), (LESION,), 10, ("PA",), "F", 50)
    texts = []
    for seed in range(20):
        report = compose(subject, Wording(comparison_share=1, uncertain_share=0), np.random.default_rng(seed))
        assert all(statement.state is State.NEGATIVE for statement in statements(report))
        texts.append(report.section("findings"))
    assert any("resolved" in text or "no longer" in text or "residual" in text for text in texts)


def test_identifiers_are_planted_only_on_request_and_listed():
    source = SyntheticSource(num_patients=5, identifiers=True)
    for (patient, index), (study_id, planted) in zip(source._plans(0), source.planted_identifiers(0), strict=True):
        assert patient.study_id(index) == study_id
        assert len(planted) >= 4
        text = source.report(patient, index).text
        assert all(identifier in text for identifier in planted)
    assert all(not planted for _, planted in SyntheticSource(num_patients=5).planted_identifiers(0))


def test_no_two_findings_of_a_study_hide_each_other(written):
    for lesions, _ in written:
        for i, lesion in enumerate(lesions):
            assert all(compatible(lesion, other) for other in lesions[i + 1 :])


def test_each_kind_counts_as_one_known_observation():
    assert {spec.observation for spec in KINDS.values()} == set(OBSERVATIONS) - {"Pneumonia", "No Finding"}
