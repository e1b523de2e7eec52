"""Makes compliance reports of the audit log."""
