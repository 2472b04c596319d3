"""Runs the benchmarks, keeps what they say, and makes the page of all figures. Measures nothing itself."""
