"""Hypothesis without a deadline: a busy machine is no failure. Time bounds are tested where they matter, in CPU time."""

from hypothesis import settings

settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")
