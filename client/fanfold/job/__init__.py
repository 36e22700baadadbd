"""A job and its runs as their caller sees them: waiting, results, failures, output, what it took, steering."""

from fanfold.job.job import Job
from fanfold.job.run import Run

__all__ = ["Job", "Run"]
