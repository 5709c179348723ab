"""What a scorecard holds of grounding: whether the model looked where the finding is."""

from radlet.core.records import Record
from radlet.metrics.resampling import Estimate


class MapResult(Record):
    """How one kind of map points, with 95 % intervals; null where there is nothing to judge."""

    pointing: Estimate
    """Share of findings on which its maximum lies."""
    lift: Estimate
    """Share of its weight inside the boxes, over the share of the film that they take; 1 is an even map's."""
    iou: Estimate
    """Mean intersection over union of boxes and strongest patches of the same area."""
    deletion: Estimate | None = None
    """Area under the likelihood of the phrase while its patches are greyed out, the strongest first; low is good."""
    insertion: Estimate | None = None
    """The same while they are shown on a grey film; high is good."""
    faithfulness: Estimate | None = None
    """Insertion minus deletion."""


class Grounding(Record):
    """Whether the model looked where the finding is, over rightly drafted findings with a box."""

    drawn: str
    """The map that `explain` and the page draw."""
    num_findings: int
    num_reports: int
    num_curves: int
    """Findings, one a report, whose patches were greyed out and shown."""
    area: float
    """Mean share of the film inside the boxes of a finding."""
    grid: int
    """Patches along a side of the film."""
    tolerance: float
    """Distance from a box, in sides of the film, at which a maximum still counts as on it."""
    maps: dict[str, MapResult]
    """The drawn map, other ways to read attention, and maps that know nothing of this film."""
    pointing_gain: dict[str, Estimate]
    """Pointing of the drawn map minus that of each other."""
    faithfulness_gain: dict[str, Estimate]
    """Faithfulness of the drawn map minus that of each other that has one."""
