"""How good and how fast a trained model is: likelihoods and their bounds, the quality of its samples, speed; one report for all
families.

Nothing here knows checkpoints or runs: callers bring a model and a data set.
"""

from genlib.evaluation.judges import Judge, find_judge
from genlib.evaluation.likelihood import Scores, evaluate
from genlib.evaluation.report import parameters, planned_parameters, report
from genlib.evaluation.speed import Speed, measure, training_seconds
from genlib.evaluation.yardstick import Quality, quality, real_quality

__all__ = [
    "Judge",
    "Quality",
    "Scores",
    "Speed",
    "evaluate",
    "find_judge",
    "measure",
    "parameters",
    "planned_parameters",
    "quality",
    "real_quality",
    "report",
    "training_seconds",
]
