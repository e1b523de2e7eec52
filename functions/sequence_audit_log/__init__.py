"""Appends the events of the audit queue to the audit log."""
