"""The command line: one file per command group; the only room that prints."""
