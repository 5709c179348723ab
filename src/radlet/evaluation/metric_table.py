"""The metrics as a person looks them up: a table of all, and all that is stated of one."""

from rich.table import Table

from radlet.evaluation.scorers.base import ModelMetric
from radlet.evaluation.scorers.loading import Scorers, model_metrics
from radlet.metrics import METRICS
from radlet.metrics.base import Metric

BETTER = {"higher": "↑ higher", "lower": "↓ lower", None: "a description"}


def metrics_table(scorers: Scorers) -> Table:
    """Return name, range, direction and version of every metric, and whether the model of those that run one is here.

    It fits a terminal of 80 columns.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for title in ("metric", "range", "better", "version", "model"):
        table.add_column(title, no_wrap=True, justify="right" if title == "version" else "left")
    for name in METRICS:
        metric: Metric = METRICS[name]
        style = "dim" if metric.direction is None else None
        cells = (metric.range, BETTER[metric.direction], str(metric.version), _readiness(metric, scorers))
        table.add_row(name, *cells, style=style)
    return table


def weights_table(scorers: Scorers) -> Table:
    """Return what to do before each family of weights can be used."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("weights", no_wrap=True)
    table.add_column("")
    families = {weights.family: weights for _, metric in model_metrics() for weights in metric.weights}
    for family, weights in families.items():
        table.add_row(family, scorers.lack(weights) or "here")
    return table


def metric_facts(name: str, scorers: Scorers) -> Table:
    """Return all that is stated of one metric.

    Raises:
        UnknownNameError: No metric has that name.
    """
    metric: Metric = METRICS[name]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    facts = {
        "metric": name,
        "what": metric.summary,
        "range": metric.range,
        "better": BETTER[metric.direction],
        "version": str(metric.version),
        "reads": metric.reads,
        "empty": metric.empty,
        "source": metric.source,
    }
    if isinstance(metric, ModelMetric):
        facts["weights"] = metric.lack(scorers) or "here"
        facts["licences"] = "; ".join(f"{weights.family}: {weights.licence}" for weights in metric.weights)
    for fact, text in facts.items():
        table.add_row(fact, text)
    return table


def _readiness(metric: Metric, scorers: Scorers) -> str:
    if not isinstance(metric, ModelMetric):
        return ""
    return "–" if metric.lack(scorers) else "here"
