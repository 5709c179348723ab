"""Show a judge study: lines for the terminal, and one self-contained HTML file without any script or request."""

from collections.abc import Iterator
from dataclasses import dataclass

from radlet.evaluation.charts import Bar
from radlet.evaluation.judge_study import LEVELS, TOTAL, Agreement, JudgeResult, JudgeStudy
from radlet.evaluation.pages import page_environment
from radlet.evaluation.scorecard import number_text
from radlet.metrics.resampling import Estimate

TITLES = {
    TOTAL: "All kinds together",
    "false_finding": "False finding",
    "missing_finding": "Missing finding",
    "wrong_place": "Wrong place",
    "wrong_degree": "Wrong degree or size",
    "false_comparison": "False comparison",
    "missing_comparison": "Missing comparison",
}
FIGURE_TITLES = {"tau": "Kendall tau-b", "rho": "Spearman", "mean_difference": "Mean absolute difference"}
LEVEL_TITLES = {"significant": "Significant errors", "all": "All errors"}


@dataclass(frozen=True)
class PanelRow:
    """One kind of errors: its figures and the two intervals of tau-b, drawn on an axis from -1 to 1."""

    title: str
    figures: dict[str, Agreement]
    judge: Bar | None
    experts: Bar | None


def study_lines(study: JudgeStudy) -> Iterator[str]:
    """Yield what is printed: total and kinds of every judge beside the yardstick, and what is missing."""
    experts = ", ".join(f"{name} {number}" for name, number in study.num_counted.items())
    yield f"{study.num_reports} reports of {study.num_patients} patients; counted by: {experts}"
    judges, metrics = _parted(study)
    for name, result in judges.items():
        yield f"{name}: {result.num_reports} of {study.num_reports} reports judged"
        for reason, number in result.missing.items():
            yield f"  missing: {number} {reason}"
        if result.unknown:
            yield f"  {result.unknown} judged reports were counted by no expert"
        for level in LEVELS:
            yield f"  {LEVEL_TITLES[level]:<22} {'tau-b':<42} {'rho':<20} mean difference"
            for kind, levels in result.agreement.items():
                yield f"  {kind:<22} {_cells(levels[level])}"
    for level in LEVELS if metrics else ():
        yield f"metrics, {LEVEL_TITLES[level].lower():<20} reports  {'tau-b':<42} rho"
        for name, result in _ranked(metrics, level):
            yield f"  {name:<34} {result.num_reports:>5}  {_cells(result.agreement[TOTAL][level])}"
    yield "Each figure: the judge, then the left-out experts on the same reports; a mean over the experts left out."


def render_study_page(study: JudgeStudy) -> str:
    """Return the page."""
    environment = page_environment()
    environment.filters |= {"number": number_text, "interval": _interval}
    yardsticks = study.experts.agreement[TOTAL]
    level = next((level for level in LEVELS if _defined(yardsticks[level]["tau"].experts)), LEVELS[-1])
    judges, metrics = _parted(study)
    return environment.get_template("judge_study.html.j2").render(
        study=study,
        panels=[(name, result, _panel(result)) for name, result in judges.items()],
        headline=[(name, result.agreement[TOTAL][level]) for name, result in judges.items() if study.judges],
        metrics=[(result, _row(name, result.agreement[TOTAL][level])) for name, result in _ranked(metrics, level)],
        yardstick=yardsticks[level],
        level=LEVEL_TITLES[level].lower(),
        figures=FIGURE_TITLES,
    )


def _parted(study: JudgeStudy) -> tuple[dict[str, JudgeResult], dict[str, JudgeResult]]:
    """Return those that counted errors, kind by kind, and metrics, which give one value; the experts where none is."""
    judges = {name: result for name, result in study.judges.items() if len(result.agreement) > 1}
    metrics = {name: result for name, result in study.judges.items() if name not in judges}
    return judges if study.judges else {"Experts alone": study.experts}, metrics


def _ranked(metrics: dict[str, JudgeResult], level: str) -> list[tuple[str, JudgeResult]]:
    """Return metrics by how well they rank reports, the best first, undefined ones last."""

    def place(item: tuple[str, JudgeResult]) -> tuple[float, str]:
        tau = item[1].agreement[TOTAL][level]["tau"].judge
        return (2.0 if tau is None or tau.value is None else -tau.value), item[0]

    return sorted(metrics.items(), key=place)


def _panel(result: JudgeResult) -> list[tuple[str, list[PanelRow]]]:
    return [
        (LEVEL_TITLES[level], [_row(TITLES[kind], levels[level]) for kind, levels in result.agreement.items()])
        for level in LEVELS
    ]


def _row(title: str, figures: dict[str, Agreement]) -> PanelRow:
    return PanelRow(title, figures, _bar(figures["tau"].judge), _bar(figures["tau"].experts))


def _defined(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value is not None


def _bar(estimate: Estimate | None) -> Bar | None:
    """Place a correlation on an axis from -1 (0) to 1 (100)."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return Bar(*(50 * (number + 1) for number in (estimate.value, estimate.low, estimate.high)))


def _cells(figures: dict[str, Agreement]) -> str:
    tau = f"{_interval(figures['tau'].judge)} / {_interval(figures['tau'].experts)}"
    return f"{tau:<42} {_values(figures['rho']):<20} {_values(figures['mean_difference'])}"


def _values(one: Agreement) -> str:
    values = (None if each is None else each.value for each in (one.judge, one.experts))
    return " / ".join(number_text(value, 2) for value in values)


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return number_text(None)
    low, high = number_text(estimate.low, 2), number_text(estimate.high, 2)
    return f"{number_text(estimate.value, 2)} ({low} to {high})"
