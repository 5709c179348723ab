"""The probes with a real drafter of random weights: what a model that cannot see writes is moved by words alone."""

import pytest
import torch

from radlet.evaluation.probes import Probes, ProbeSettings
from radlet.evaluation.tasks import Findings
from radlet.inference.drafter import Drafter

FILM_PROBES = ("blank", "noise", "mirrored", "shifted", "reencoded")


@pytest.fixture
def probed(tiny_report_model, tiny_examples):
    """Return a function that gives, for each probe, the drafts of a drafter and those of the same films unchanged."""

    def draft():
        drafter, task = Drafter(tiny_report_model), Findings()
        own = drafter.draft([task.request(row, row.image_paths) for row in tiny_examples])
        named = ["There is a small left pleural effusion."] * len(own)  # random weights name no finding
        probes = Probes(task, tiny_examples, named, ProbeSettings(len(own), 0, drafter.image_settings.size_px))
        rows = range(len(own))
        return {name: (probes.draft(name, drafter, 4)(rows), own) for name in (*FILM_PROBES, "paraphrased")}

    return draft


def test_a_model_that_sees_is_moved_by_its_films(probed):
    drafts = probed()
    assert all(changed != own for changed, own in (drafts[name] for name in ("blank", "noise", "mirrored")))


def test_a_model_that_cannot_see_is_moved_by_words_alone(probed, tiny_report_model):
    projector = tiny_report_model.model.model.multi_modal_projector
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.zero_()
    drafts = probed()
    for name in FILM_PROBES:
        changed, own = drafts[name]
        assert changed == own, name
    changed, own = drafts["paraphrased"]
    assert changed != own
