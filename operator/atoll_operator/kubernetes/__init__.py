"""Runtime for clusters: every step is a Job of Kubernetes.

Alone in importing kopf and the client of the API server; imports nothing of the other runtime.
"""
