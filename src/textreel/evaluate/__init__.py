"""Answers in, numbers out: scores with their standard errors."""
