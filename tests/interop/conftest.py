"""The JavaScript stacks as a fixture."""

import pytest

from tests.interop.javascript import Ask, ask_javascript, list_missing


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Puts questions to the JavaScript stacks; skips where they are not installed."""
    missing = list_missing()
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}; run scripts/setup")
    return ask_javascript
