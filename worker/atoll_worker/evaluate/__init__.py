"""Scores: how close generated samples are to real ones, and what they cost. Pure."""
