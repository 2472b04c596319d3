"""Turns a TrainingJob into running steps: one brain (`plan`), one shell, two runtimes."""
