"""Videos that were never filmed: the procedural world, textual videos, pages."""
