"""What holds for all tests: the marks of acceptance criteria."""

pytest_plugins = ["tests.requirement_marks"]
