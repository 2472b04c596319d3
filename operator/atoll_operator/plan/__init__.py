"""The brain: pure functions from (spec, observed, now) to a plan and a status.

Nothing here may read a clock, open a file or talk to anyone; import-linter sees to it.
"""
