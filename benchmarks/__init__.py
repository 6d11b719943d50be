"""Measures the platform against its figures: `python -m benchmarks` runs every benchmark or those that are named."""
