"""Cosigns the checkpoints of the audit log."""
