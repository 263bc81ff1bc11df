"""Frozen towers run once: encode, store, memory."""
