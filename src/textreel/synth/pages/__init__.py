"""Long text as page pictures that stand in for the frames of a video (arXiv 2411.19951)."""
