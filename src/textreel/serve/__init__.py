"""Weights in, answers out: a session that answers about any video file."""
