"""Archives and purges the audit log by its retention rules."""
