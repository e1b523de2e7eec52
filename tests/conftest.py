"""What holds for all tests: the marks of acceptance criteria, and pytest itself as a fixture to test them."""

pytest_plugins = ["pytester", "tests.requirement_marks"]
