"""Datasets: where they come from, and who trains on which part."""
