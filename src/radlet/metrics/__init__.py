"""Pure metrics: references and predictions in, scores out. No torch."""
