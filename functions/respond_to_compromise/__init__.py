"""Answers the report that keys of a participant were lost."""
