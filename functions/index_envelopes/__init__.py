"""Keeps the index of which containers need which keys."""
