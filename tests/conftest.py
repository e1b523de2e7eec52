"""What holds for all tests: marks of acceptance criteria, pytest itself as a fixture to test them, and no deadlines.

Hypothesis has none here: a busy machine is no failure. Where time matters, tests bound the CPU time.
"""

from hypothesis import settings

pytest_plugins = ["pytester", "tests.requirement_marks"]

settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")
