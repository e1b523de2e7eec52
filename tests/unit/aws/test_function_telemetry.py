"""What functions publish of their runs; and that none of them is left out."""

import ast
from typing import Any

import pytest

from pqtransfer.aws.function_telemetry import ENVIRONMENT_VARIABLE, FunctionTelemetry
from pqtransfer.errors import IntegrityError
from pqtransfer.operations.metrics import ERRORS, FUNCTION_DURATION, FUNCTION_FAILURES, WORK_DONE
from scripts.toolchain import ROOT
from tests.fakes.clocks import FakeClock
from tests.fakes.embedded_lines import EmbeddedLines

pytestmark = pytest.mark.requirement("D3.1")


class LogMovedError(IntegrityError):
    """A named error."""


class Function:
    """A handler that does what a test says, and what it publishes."""

    def __init__(self) -> None:
        self.clock, self.lines = FakeClock(), EmbeddedLines()
        self.telemetry = FunctionTelemetry("rotate_keys", monotonic=self.clock.monotonic, write=self.lines.write)
        self.answer: Any = {}
        self.error: Exception | None = None
        self.count = 0
        self.handler = self.telemetry.observe(self._handle)

    def _handle(self, _event: Any, _context: Any) -> Any:
        self.clock.advance(1.5)
        if self.count:
            self.telemetry.done(self.count)
        if self.error is not None:
            raise self.error
        return self.answer

    def run(self, event: Any = None) -> Any:
        return self.handler(event or {}, None)  # type: ignore[arg-type]


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Function:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "dev")
    return Function()


def test_a_run_says_how_long_it_took_and_what_it_did(function: Function) -> None:
    """By the service and the environment; the answer is the handler's."""
    function.count, function.answer = 3, {"keys": 3}
    assert function.run() == {"keys": 3}
    where = {"environment": "dev", "service": "rotate_keys"}
    assert function.lines.values(FUNCTION_DURATION, **where) == [1500.0]
    assert function.lines.values(FUNCTION_FAILURES, **where) == [0.0]
    assert function.lines.values(WORK_DONE, **where) == [3.0]


@pytest.mark.parametrize(("error", "code"), [(LogMovedError("moved"), "LogMoved"), (KeyError("x"), "KeyError")])
def test_an_error_is_counted_by_its_class_and_goes_on(function: Function, error: Exception, code: str) -> None:
    """Lambda has to see it too."""
    function.error = error
    with pytest.raises(type(error)):
        function.run()
    assert function.lines.values(FUNCTION_FAILURES) == [1.0]
    assert function.lines.values(ERRORS, error=code) == [1.0]
    function.error = None
    function.run()
    assert function.lines.values(FUNCTION_FAILURES) == [1.0, 0.0]


def test_of_a_batch_every_record_that_did_not_fail_is_done(function: Function) -> None:
    """A run that gives records back has failed, though Lambda counts no error of it."""
    function.answer = {"batchItemFailures": [{"itemIdentifier": "2"}]}
    function.run({"Records": [1, 2, 3]})
    assert (function.lines.values(WORK_DONE), function.lines.values(FUNCTION_FAILURES)) == ([2.0], [1.0])


def test_what_a_run_did_is_not_said_of_the_next(function: Function) -> None:
    """The process stays, the count does not."""
    function.count = 5
    function.run()
    function.count = 0
    function.run()
    assert function.lines.values(WORK_DONE) == [5.0, 0.0]


def test_every_function_is_observed() -> None:
    """Right under its logger, so that nothing of a run is outside."""
    handlers = sorted((ROOT / "functions").glob("*/handler.py"))
    assert len(handlers) >= 12
    for path in handlers:
        (handler,) = [
            node
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name == "handler"
        ]
        names = [ast.unparse(each).partition("(")[0] for each in handler.decorator_list]
        assert names[:2] == ["logger.inject_lambda_context", "telemetry.observe"], path.parent.name
