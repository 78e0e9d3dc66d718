"""How good and how fast a trained model is: likelihoods and their bounds, speed; one report for all families.

Nothing here knows checkpoints or runs: callers bring a model and a data set.
"""

from genlib.evaluation.likelihood import Scores, evaluate
from genlib.evaluation.report import parameters, planned_parameters, report
from genlib.evaluation.speed import Speed, measure, training_seconds

__all__ = ["Scores", "Speed", "evaluate", "measure", "parameters", "planned_parameters", "report", "training_seconds"]
