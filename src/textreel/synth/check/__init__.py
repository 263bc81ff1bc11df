"""What makes a textual video unfit, whoever wrote it."""
