"""The procedural audio-visual world: scenes, and what is derived from their facts."""
