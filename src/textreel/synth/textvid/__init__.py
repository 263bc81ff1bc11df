"""Textual videos written by a language model, or by the world's grammar."""
