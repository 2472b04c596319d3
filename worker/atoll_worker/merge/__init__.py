"""Merging weights: pure tensor functions, one method a file."""
