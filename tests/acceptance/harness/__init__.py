"""Runs unmodified client programs against a real gateway and counts what they spent."""
