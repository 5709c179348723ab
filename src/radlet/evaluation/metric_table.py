"""The metrics as a person looks them up: a table of all, and all that is stated of one."""

from rich.table import Table

from radlet.metrics import METRICS
from radlet.metrics.base import Metric

BETTER = {"higher": "↑ higher", "lower": "↓ lower", None: "a description"}


def metrics_table() -> Table:
    """Return name, range, direction and version of every metric."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("metric", "range", "better", "version"):
        table.add_column(title, no_wrap=True, justify="right" if title == "version" else "left")
    for name in METRICS:
        metric: Metric = METRICS[name]
        style = "dim" if metric.direction is None else None
        cells = (metric.range, BETTER[metric.direction], str(metric.version))
        table.add_row(name, *cells, style=style)
    return table


def metric_facts(name: str) -> Table:
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
    for fact, text in facts.items():
        table.add_row(fact, text)
    return table
