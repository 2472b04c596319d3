"""A real Kubernetes of one node on this machine, for tests and for trying things out.

Pure modules decide (what to build, what to start, what was left behind); the others act. Nothing
here is part of Atoll: it needs root, and it is told where it keeps its things.
"""
