"""Tells the event bus what happens to transfers."""
