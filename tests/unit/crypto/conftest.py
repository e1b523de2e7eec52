"""Hypothesis without a deadline: a busy machine is no failure. Where time matters, tests bound the CPU time."""

from hypothesis import settings

settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")
