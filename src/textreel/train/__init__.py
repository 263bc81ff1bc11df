"""Batches in, weights out: objectives, loop, exact resume."""
