"""Transfers by real workers on the embedded cloud while things go wrong, and what became of each."""
