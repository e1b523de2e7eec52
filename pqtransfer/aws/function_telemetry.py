"""What every function publishes of each of its runs, in one place: how long it took, how it ended, and what it did.

    logger = Logger(service="rotate_keys")
    telemetry = FunctionTelemetry("rotate_keys")

    @logger.inject_lambda_context
    @telemetry.observe
    def handler(event, context): ...
        telemetry.done(3)

Metrics are embedded in the log; a trace goes to X-Ray where the function runs in Lambda with tracing on, and nowhere
else. Neither holds what a handler was given or answered.
"""

import functools
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from pqtransfer.aws.embedded_metrics import EmbeddedMetrics, Values, write_line
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.metrics import ERRORS, FUNCTION_DURATION, FUNCTION_FAILURES, WORK_DONE, Metric

ENVIRONMENT_VARIABLE = "PQTRANSFER_ENVIRONMENT"
UNKNOWN_ENVIRONMENT = "unknown"

AnswerT = TypeVar("AnswerT")


class FunctionTelemetry:
    """The telemetry of one function. Lambda runs one event at a time in a process, so it holds that of one run."""

    def __init__(
        self,
        service: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] = write_line,
    ) -> None:
        self._service = service
        self._monotonic = monotonic
        self._write = write
        self._done = 0

    def observe(self, handler: Callable[[Any, LambdaContext], AnswerT]) -> Callable[[Any, LambdaContext], AnswerT]:
        """The handler, observed. Of a batch, each record that did not fail counts as done."""
        traced: Callable[[Any, LambdaContext], AnswerT] | None = None

        @functools.wraps(handler)
        def run(event: Any, context: LambdaContext) -> AnswerT:
            nonlocal traced
            if traced is None:  # at the first run, not at import
                tracer = Tracer(service=self._service, auto_patch=False)
                traced = tracer.capture_lambda_handler(handler, capture_response=False)
            self._done = 0
            began_at = self._monotonic()
            try:
                answer = traced(event, context)
            except Exception as error:
                self._publish(began_at, failed=True, error=error)
                raise
            failed = _count_failed(answer)
            if isinstance(event, Mapping) and "Records" in event and not self._done:
                self._done = len(event["Records"]) - failed
            self._publish(began_at, failed=failed > 0)
            return answer

        return run

    def done(self, count: int) -> None:
        """So many of what the function is there for were done in this run."""
        self._done += count

    def put(self, values: Mapping[Metric, Values]) -> None:
        """Publish more than that."""
        self._metrics().put(values)

    def _publish(self, began_at: float, *, failed: bool, error: Exception | None = None) -> None:
        self.put(
            {
                FUNCTION_DURATION: 1000 * (self._monotonic() - began_at),
                FUNCTION_FAILURES: int(failed),
                WORK_DONE: self._done,
            }
        )
        if error is not None:
            code = error.code if isinstance(error, PqtransferError) else type(error).__name__
            self._metrics().put({ERRORS: 1}, error=code)

    def _metrics(self) -> EmbeddedMetrics:
        environment = os.environ.get(ENVIRONMENT_VARIABLE) or UNKNOWN_ENVIRONMENT
        return EmbeddedMetrics(environment=environment, service=self._service, write=self._write)


def _count_failed(answer: object) -> int:
    """How many records of a batch failed, as their handler says."""
    return len(answer.get("batchItemFailures") or ()) if isinstance(answer, Mapping) else 0
