"""The process that does a step's work: one role, one work order."""
