"""Checks the audit log on a schedule, and raises the alarm when somebody has changed it."""
