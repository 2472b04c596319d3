"""Pictures of the dashboards, drawn from what a real Prometheus answers: for docs.

Drawn from the same files that Grafana imports, so that a panel that asks for nothing shows here too.
No browser and no Grafana is needed; it looks alike, and is not the same.
"""
