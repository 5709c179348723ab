import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from radlet.evaluation.charts import area_bar, bar, loss_chart, row_scale
from radlet.evaluation.lineage import UpstreamRun
from radlet.evaluation.page import TABS, looking_line, primary_metric, render_page
from radlet.evaluation.pictures import Overlay, Picture
from radlet.evaluation.readings import read_reports
from radlet.evaluation.scorecard import (
    AttributeResult,
    GapResult,
    GroupResult,
    LabelAuroc,
    Looking,
    PairedResult,
    ProbeResult,
    Scorecard,
    Subgroups,
)
from radlet.evaluation.scoring import Answers, diversity, measures, observation_results, score_answers
from radlet.metrics.resampling import Estimate, PatientResampler

LEFT, NONE = "There is a left pleural effusion.", "No <b>pleural</b> effusion & more."
HEART = "The heart is enlarged."
PIXEL = "data:image/jpeg;base64,AAAA"


@pytest.fixture
def make_card():
    def make(systems, **extra):
        answers = Answers([LEFT, NONE] * 4, [f"p{i}" for i in range(8)], systems)
        resampler = PatientResampler(answers.patients, 20)
        scores = score_answers(answers, resampler, measures(answers))
        return Scorecard(
            task="findings",
            split="test",
            num_studies=8,
            num_reports=8,
            num_patients=8,
            num_resamples=20,
            metrics=scores.estimates.pop("model"),
            baselines=scores.estimates,
            paired=scores.paired,
            paired_all=scores.paired_all,
            support=observation_results(read_reports(answers.references, "observations"), systems["model"], resampler),
            diversity=diversity(answers),
            judged=scores.judged,
            **extra,
        )

    return make


@pytest.fixture
def upstream(tmp_path):
    folder = tmp_path / "Jane Doe" / "finetune" / "tiny-1234"
    folder.mkdir(parents=True)
    rows = [{"step": i + 1, "loss": 2 - i / 50, "lr": 1e-3} for i in range(50)] + [
        {"step": s, "val_loss": 1.5} for s in (25, 50)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "summary.json").write_text('{"studies": 12345, "rejected_by_reason": {"the file is truncated": 1}}')
    (folder / "rejected.jsonl").write_text('{"id": "SECRET-ID", "reason": "the file is truncated"}\n')
    return [UpstreamRun("checkpoint", "finetune", "tiny-1234", "abcdef0123456789", folder)]


@pytest.fixture
def page(make_card, upstream):
    card = make_card({"model": [LEFT, NONE] * 4, "constant": [LEFT] * 8})
    picture = Picture(3, PIXEL, NONE, LEFT, (Overlay("left pleural effusion", PIXEL),))
    return render_page(card, "tiny <model>", upstream, [picture], [picture])


class Collector(HTMLParser):
    """Collects tags, addresses and unclosed elements."""

    VOID = {"meta", "img", "line", "rect", "polyline", "link"}

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.open, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        self.addresses += [value for name, value in attributes if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parse(page):
    collector = Collector()
    collector.feed(page)
    return collector


def test_the_page_is_whole_and_asks_for_nothing_from_outside(page):
    parsed = parse(page)
    assert parsed.open == []
    assert {address for address in parsed.addresses if not address.startswith("#")} == {PIXEL}
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert "http" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_every_tab_has_an_address_and_only_tabs_with_something_to_show_are_there(make_card, upstream):
    card = make_card({"model": [LEFT, NONE] * 4})

    def tabs(page):
        parsed = parse(page)
        assert len(set(parsed.ids)) == len(parsed.ids)
        assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)
        return [name for name in TABS if name in parsed.ids]

    assert tabs(render_page(card, "m", [])) == ["overview", "scores", "findings"]
    picture = Picture(3, PIXEL, NONE, LEFT)
    assert tabs(render_page(card, "m", upstream, [picture])) == ["overview", "scores", "findings", "cases", "training"]
    probed = Looking(looks=None, probes={"blank": ProbeResult(value=1.0, low=1.0, high=1.0, n=1, num_reports=1)})
    looked = tabs(render_page(card.model_copy(update={"looking": probed}), "m", []))
    assert looked == ["overview", "scores", "findings", "looking"]


def test_the_page_tells_the_section_and_whether_the_model_was_trained_on_another(make_card):
    def text(**sections):
        page = render_page(make_card({"model": [LEFT, NONE] * 4}, **sections), "model", [], [], [])
        return " ".join(page.split())

    same = text(section="findings", trained_section="findings")
    assert "section <b>findings</b>" in same
    assert "trained to write" not in same
    assert "trained to write <b>findings</b>" in text(section="impression", trained_section="findings")
    assert "section <b>" not in text()


def test_the_page_escapes_what_people_wrote(page):
    assert "<model>" not in page
    assert "<b>pleural</b>" not in page
    assert "&lt;b&gt;" in page


def test_the_page_names_no_path_and_no_id(page, tmp_path):
    assert "Jane" not in page
    assert "SECRET-ID" not in page
    assert str(tmp_path) not in page


def test_the_page_shows_the_notice_the_numbers_and_the_chain(page):
    text = re.sub(r"<[^>]+>", " ", page)
    assert "Unverified AI drafts — not for clinical use" in text
    assert "8 studies" in " ".join(text.split())
    assert "Nearest neighbour" not in text  # was not run
    assert "Constant" in text
    assert "the file is truncated" in text
    assert "12,345" in text
    assert "abcdef0123" in text
    assert "row 3 of predictions.jsonl" in text
    assert "never present here" in text
    assert 'class="false"' in page


def test_the_page_says_which_run_was_not_found(make_card):
    lost = UpstreamRun("examples", "build", "tiny-77", "0123456789abcdef", None)
    page = render_page(make_card({"model": [LEFT] * 8}), "m", [lost])
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Not found: build tiny-77" in text
    assert "tiny-77 0123456789 not found" in text
    assert parse(page).open == []


def test_the_verdict_follows_the_interval(make_card):
    good = make_card({"model": [LEFT, NONE] * 4, "constant": [NONE] * 8})
    bad = make_card({"model": [NONE] * 8, "constant": [LEFT, NONE] * 4})
    same = make_card({"model": [LEFT] * 8, "constant": [LEFT] * 8})
    assert "better than every baseline" in render_page(good, "m", [])
    assert "worse than constant" in render_page(bad, "m", [])
    assert "not clearly better" in render_page(same, "m", [])
    assert "No baseline was run" in render_page(make_card({"model": [LEFT] * 8}), "m", [])


def test_where_less_is_better_a_model_with_fewer_errors_is_the_good_one(make_card):
    good, poor = [LEFT, NONE] * 4, [HEART, HEART] * 4
    for model, constant, verdict in ((good, poor, "good"), (poor, good, "bad")):
        page = render_page(make_card({"model": model, "constant": constant}), "tiny", [])
        row = page[page.index('<th scope="row">Errors a report') :]
        assert row.index('title="lower is better"') < row.index("</th>")
        assert re.search(r'class="paired"><b class="(\w*)">', row)[1] == verdict
    row = page[page.index('<th scope="row">BLEU-1') :]
    assert "lower is better" not in row[: row.index("</th>")]


def test_retrieval_is_shown_when_there_is_one(make_card):
    card = make_card({"model": [LEFT] * 8})
    beside = {"num_images": 8.0, "num_texts": 4.0}
    recalls = {}
    for way in ("image_to_text", "text_to_image"):
        for k in (1, 5, 10):
            recalls[f"{way}_recall_at_{k}"] = Estimate(0.5, 0.4, 0.6)
            beside |= {f"chance_{way}_recall_at_{k}": 0.25, f"times_chance_{way}_recall_at_{k}": 2.0}
    card = card.model_copy(update={"metrics": card.metrics | recalls, "retrieval": beside})
    page = render_page(card, "m", [])
    assert "2.0 × chance" in page
    assert parse(page).open == []


def test_a_scorecard_read_back_gives_the_same_page(make_card, tmp_path):
    card = make_card({"model": [LEFT] * 8, "constant": [NONE] * 8})
    card.save(tmp_path / "scorecard.json")
    assert render_page(Scorecard.load(tmp_path / "scorecard.json"), "m", []) == render_page(card, "m", [])


def test_the_truth_heads_the_page_where_it_is_known(make_card):
    card = make_card({"model": [LEFT] * 8})
    assert primary_metric(card) == "observation_f1_micro_14"
    truth = card.model_copy(update={"metrics": card.metrics | {"truth_f1_micro": Estimate(0.5, 0.4, 0.6)}})
    assert primary_metric(truth) == "truth_f1_micro"


def test_bars_stay_on_their_axis():
    assert bar(Estimate(0.5, 0.25, 0.75)).low == 25
    assert bar(Estimate(0.05, 0.0, 0.1), 0.1).value == 50
    assert bar(Estimate(3.0, 2.0, 4.0)).high == 100
    assert row_scale([Estimate(0.05, 0.01, 0.09), Estimate(0.2, 0.1, 0.24)]) == 0.25
    assert row_scale([Estimate(30, 28, 32)]) > 32


def test_the_axis_of_an_area_begins_at_chance():
    drawn = area_bar(LabelAuroc(value=0.75, low=0.4, high=1.0, positives=9))
    assert (drawn.low, drawn.value, drawn.high) == (0, 50, 100)


def test_loss_curves(upstream):
    chart = loss_chart(upstream[0])
    assert [line.name for line in chart.lines] == ["loss", "val_loss"]
    assert chart.last_step == 50
    assert (chart.low, chart.high) == (pytest.approx(1.02), 2.0)
    first_x, first_y = map(float, chart.lines[0].points.split()[0].split(","))
    assert (first_x, first_y) == (pytest.approx(320 / 50, abs=0.1), 0.0)
    assert loss_chart(UpstreamRun("x", "build", "b", "d", Path("/nonexistent"))) is None


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_an_undefined_share_is_a_dash_and_no_tile(make_card):
    silent = text_of(render_page(make_card({"model": [HEART] * 8, "constant": [LEFT] * 8}), "m", []))
    assert "Right side, of one-sided findings 0 1 – of 0 judged 1.000 1.000–1.000 of 4 judged" in silent
    assert "On the right side" not in silent
    spoken = text_of(render_page(make_card({"model": [LEFT] * 8, "constant": [HEART] * 8}), "m", []))
    assert "Right side, of one-sided findings 0 1 1.000 1.000–1.000 of 4 judged – of 0 judged" in spoken
    assert "On the right side – too few to tell: 4 one-sided findings rightly named" in spoken


def test_a_page_of_a_model_that_wrote_nothing(make_card):
    page = render_page(make_card({"model": [""] * 8, "constant": [""] * 8}), "m", [])
    assert parse(page).open == []
    assert "nan" not in text_of(page).lower().split()
    assert "None" not in text_of(page)
    assert "Precision, micro, 14 0 1 – –" in text_of(page)


def test_the_verdict_names_the_baseline_that_is_not_clearly_beaten(make_card):
    card = make_card({"model": [LEFT, NONE] * 4, "constant": [NONE] * 8, "no_image": [NONE] * 8})

    def verdict(constant, no_image):
        results = {"constant": (0.2, *constant), "no_image": (0.3, *no_image)}
        every = {
            name: PairedResult(baseline=name, difference=d, low=low, high=high, p_value=0.5)
            for name, (d, low, high) in results.items()
        }
        name = primary_metric(card)
        update = {"paired": card.paired | {name: every["constant"]}, "paired_all": card.paired_all | {name: every}}
        return text_of(render_page(card.model_copy(update=update), "m", []))

    touches = verdict((-0.1, 0.5), (0.1, 0.5))
    assert "The drafts are not clearly better than constant, the best baseline." in touches
    assert "not clearly better, as the interval includes 0" in touches
    assert "p = 0.500, not clear constant" in touches
    assert "not clearly better than constant" in verdict((0.0, 0.5), (0.1, 0.5))
    beaten = verdict((0.1, 0.3), (-0.1, 0.7))
    assert "The drafts are not clearly better than no image." in beaten
    assert "as the interval includes 0" not in beaten
    assert "p = 0.500 constant" in beaten
    assert "better than every baseline" in verdict((0.1, 0.3), (0.1, 0.7))


def test_labels_of_the_encoder_stand_by_frequency_and_only_where_there_are_any(make_card):
    card = make_card({"model": [LEFT] * 8})
    assert "pre-trained encoder" not in text_of(render_page(card, "m", []))
    areas = {
        name: LabelAuroc(value=0.9, low=0.8, high=0.95, positives=positives)
        for name, positives in {"Edema": 7, "Fracture": 1234, "Pneumonia": 20}.items()
    }
    page = render_page(card.model_copy(update={"encoder_auroc": areas}), "m", [])
    assert parse(page).open == []
    text = text_of(page)
    assert "AUROC Fracture 1,234 0.90 0.80–0.95 Pneumonia 20 0.90 0.80–0.95 Edema 7 0.90" in text
    assert page.count('<table class="labels">') == 1
    many = {f"label {n}": LabelAuroc(value=0.5, low=0.4, high=0.6, positives=90 - n) for n in range(15)}
    assert render_page(card.model_copy(update={"encoder_auroc": many}), "m", []).count('<table class="labels">') == 2


def test_the_panel_says_whether_the_model_looks(make_card):
    card = make_card({"model": [LEFT, NONE] * 4, "shuffled_image": [NONE, LEFT] * 4})
    assert "Does it look?" not in text_of(render_page(card, "m", []))
    probes = {
        "mirrored": ProbeResult(value=0.5, low=0.25, high=0.75, n=8, num_reports=6),
        "occluded": ProbeResult(
            value=0.9,
            low=0.8,
            high=1.0,
            n=8,
            num_reports=8,
            control=Estimate(0.1, 0.0, 0.2),
            difference=Estimate(0.8, 0.6, 1.0),
        ),
        "noise": ProbeResult(value=None, low=None, high=None, n=0, num_reports=0),
    }
    for looks, answer in ((True, "looks"), (False, "does not look"), (None, "unclear")):
        looking = Looking(
            looks=looks, share_explained={"observation_f1_micro_13": Estimate(0.4, 0.3, 0.5)}, probes=probes
        )
        page = render_page(card.model_copy(update={"looking": looking}), "m", [])
        assert parse(page).open == []
        text = text_of(page)
        assert f"Does it look? The model {answer} +1.000" in text
        assert "Score due to the film 40 % 30 to 50" in text
        assert "one-sided findings that change side 0.50 0.25–0.75 8 near 1" in text
        assert "0.10 with a box elsewhere; difference +0.60 to +1.00" in text
        assert "no draft or film was fit for it" in text
    below = looking.model_copy(update={"share_explained": {"observation_f1_micro_13": Estimate(-0.1, -0.3, 0.1)}})
    assert "−10 % −30 to 10" in text_of(render_page(card.model_copy(update={"looking": below}), "m", []))
    line = looking_line(card.model_copy(update={"looking": looking}))
    assert line.startswith("looks at the film: unclear; 40 % (30 to 50) of observation_f1_micro_13 is due to the film")
    assert "mirrored 0.50" in line


def test_the_panel_of_a_model_without_a_score(make_card):
    card = make_card({"model": [""] * 8, "shuffled_image": [""] * 8})
    looking = Looking(looks=None, share_explained={"observation_f1_micro_13": Estimate(None, None, None)})
    card = card.model_copy(update={"looking": looking})
    page = render_page(card, "m", [])
    assert parse(page).open == []
    assert "there was no score to explain" in page
    assert "None" not in text_of(page)
    assert looking_line(card) == "looks at the film: unclear"


def test_groups_stand_with_their_gaps_and_small_ones_without_a_number(make_card):
    card = make_card({"model": [LEFT, NONE] * 4})
    assert "Group by group" not in render_page(card, "m", [])

    def group(value, difference, p_value):
        gap = GapResult(difference=difference, low=-0.3, high=0.3, p_value=p_value, p_corrected=p_value, detectable=0.2)
        score = Estimate(value, value - 0.1, value + 0.1)
        metrics = {"observation_f1_micro_14": score, "laterality": Estimate(None, None, None)}
        return GroupResult(num_reports=60, num_patients=50, metrics=metrics, gaps={"observation_f1_micro_14": gap})

    attributes = {
        "sex": AttributeResult(groups={"F": group(0.8, 0.2, 0.01), "M": group(0.6, -0.2, 0.06)}),
        "site": AttributeResult(groups={"<A>": group(0.5, 0.0, 1.0)}, num_unnamed=2),
        "age": AttributeResult(groups={"18 to 39": group(0.5, 0.0, 1.0)}, too_few=("80 and over",)),
    }
    page = render_page(
        card.model_copy(update={"subgroups": Subgroups(min_patients=20, attributes=attributes)}), "m", []
    )
    assert parse(page).open == []
    text = text_of(page)
    assert (
        "Sex Female 50 all reports 0.80 0.70–0.90 +0.20 −0.30 to +0.30 p = 0.010 – – Male 50 all reports 0.60" in text
    )
    assert '<b class="good">+0.20</b>' in page
    assert '<b class="plain">−0.20</b>' in page
    assert "fewer than 20 patients: 80 and over" in text
    assert "fewer than 20 patients: 2 groups" in text
    assert "&lt;A&gt;" in page
