"""Dashboards, alerts and the page of metrics, made of code, and pictures of them.

Nothing here is shipped: what it writes is, in the chart and in docs. Queries are written out as
users read them; that they ask only for what exists is checked against the catalogues.
"""
