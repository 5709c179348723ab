"""What a scorecard says in a few lines, for the terminal."""

from radlet.evaluation.calibration_panel import calibration_line
from radlet.evaluation.grounding_panel import grounding_line
from radlet.evaluation.page import looking_line, primary_metric
from radlet.evaluation.scorecard import Scorecard, number_text
from radlet.evaluation.scoring import MODEL


def headlines(card: Scorecard) -> list[str]:
    """Return the first metric of every system with its interval, then whether the model looks, where, and how surely.

    Lines hold the console's markup.
    """
    name = primary_metric(card)
    lines = []
    for system, scores in ({MODEL: card.metrics} | card.baselines).items():
        score = scores[name]
        value, low, high = (number_text(number) for number in (score.value, score.low, score.high))
        lines.append(f"{name}  {value}  [dim]{low} to {high}[/]  {system}")
    return lines + [line for line in (looking_line(card), grounding_line(card), calibration_line(card)) if line]
