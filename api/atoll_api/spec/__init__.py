"""The TrainingJob: one file for each part of the spec."""

from atoll_api.spec.job import Metadata, TrainingJob, TrainingJobSpec

__all__ = ["Metadata", "TrainingJob", "TrainingJobSpec"]
