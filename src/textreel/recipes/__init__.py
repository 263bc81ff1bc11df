"""Whole runs as Python functions: the demo, the tiny models, the benchmarks."""
