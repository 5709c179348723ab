"""What the findings that are truly there mean for the 14 observations; evaluation compares drafts with it."""

from collections.abc import Sequence

from radlet.core.records import OBSERVATIONS, Finding, State

NOT_A_DISEASE = frozenset({"Support Devices"})
"""Observations that leave 'No Finding' standing, as in the CheXpert labeller (Irvin et al. 2019)."""


def truth_observations(truth: Sequence[Finding]) -> dict[str, State]:
    """Return POSITIVE or NEGATIVE for each of the 14 observations.

    'No Finding' is POSITIVE when nothing but devices is there. 'Pneumonia' is a diagnosis rather than something a film
    shows by itself, so sources with exact truth never state it and it is NEGATIVE.
    """
    present = {finding.observation for finding in truth}
    states = {name: State.POSITIVE if name in present else State.NEGATIVE for name in OBSERVATIONS}
    states["No Finding"] = State.NEGATIVE if present - NOT_A_DISEASE else State.POSITIVE
    return states
