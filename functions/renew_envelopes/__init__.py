"""Moves envelopes to the keys that their recipients have now."""
