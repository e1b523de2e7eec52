"""The dashboard: a row for each question that is asked when something seems wrong."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.published_metrics import MINUTE, find_metric
from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.names import Names
from pqtransfer.operations.metrics import (
    BYTES_TRANSFERRED,
    BYTES_WAITING,
    CPU_PERCENT,
    ERRORS,
    INTEGRITY_FINDINGS,
    KEY_EXCHANGE_FAILURES,
    KEY_EXCHANGE_TIME,
    KEY_RESTORES_FAILED,
    MEMORY_PERCENT,
    MESSAGES_REJECTED,
    NETWORK_RECEIVED,
    NETWORK_SENT,
    PART_LATENCY,
    POOL_SATURATION,
    SLOW_TRANSFERS,
    SOURCE_RATE,
    THROUGHPUT,
    TRANSFER_RATE,
    TRANSFERS_COMPLETED,
    TRANSFERS_FAILED,
    TRANSFERS_RETRIED,
    TRANSFERS_STARTED,
    WORKER_SERVICE,
    WORKERS_BUSY,
    WORKERS_DESIRED,
    Metric,
)

SCALING_SERVICE = "decide_scaling"
ROW_HEIGHT, ROW_WIDTH = 6, 24


class Dashboard(Construct):
    """The dashboard of one environment, over everything that it runs."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        functions: Sequence[PythonFunction],
        queues: Sequence[sqs.Queue],
        health: elb.ApplicationTargetGroup,
    ) -> None:
        super().__init__(scope, id)
        self._environment = environment
        drained = [queue for queue in queues if queue.dead_letter_queue is not None]
        given_up = [queue for queue in queues if queue.dead_letter_queue is None]
        self._dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=names.prefix)
        self._ask(
            "Is anything slow?",
            self._graph("MB/s of a transfer, and of its source", *self._published("p50", THROUGHPUT, SOURCE_RATE)),
            self._graph("MB/s of whole transfers; slow ones", *self._rates()),
            self._graph("Latency of parts, ms", *self._at(PART_LATENCY, "p50", "p99")),
            self._graph("Key exchange, ms", *self._at(KEY_EXCHANGE_TIME, "p50", "p99")),
        )
        self._ask(
            "Is anything failing?",
            self._graph(
                "Transfers",
                *self._published("Sum", TRANSFERS_STARTED, TRANSFERS_COMPLETED, TRANSFERS_RETRIED, TRANSFERS_FAILED),
            ),
            self._graph("Errors of workers", *self._published("Sum", ERRORS, MESSAGES_REJECTED)),
            self._graph("Errors of functions", *(each.function.metric_errors(period=MINUTE) for each in functions)),
            self._graph("Workers that do not answer", health.metrics.unhealthy_host_count(period=MINUTE)),
        )
        self._ask(
            "Is anything piling up?",
            self._graph("Messages that wait", *map(_visible, drained)),
            self._graph("Age of the oldest, s", *(each.metric_approximate_age_of_oldest_message() for each in drained)),
            self._graph("Given up", *map(_visible, given_up)),
            self._graph("Bytes that wait", self._find(BYTES_WAITING, "Maximum", service=SCALING_SERVICE)),
        )
        self._ask(
            "Is anything about to fill?",
            self._graph("Memory and CPU of workers, %", *self._published("Maximum", MEMORY_PERCENT, CPU_PERCENT)),
            self._graph("Threads with a part, %", *self._published("Average", POOL_SATURATION)),
            self._graph("Network and models, bytes", *self._published("Sum", *_VOLUMES)),
            self._graph(
                "Workers",
                self._find(WORKERS_BUSY, "Average"),
                self._find(WORKERS_DESIRED, "Maximum", service=SCALING_SERVICE),
            ),
        )
        self._ask(
            "Is anything insecure?",
            self._graph("Key exchanges that failed", self._find(KEY_EXCHANGE_FAILURES, "Sum")),
            self._graph("Messages that were not their sender's", self._find(MESSAGES_REJECTED, "Sum")),
            self._graph(
                "Findings in the audit log", self._find(INTEGRITY_FINDINGS, "Maximum", service="check_audit_integrity")
            ),
            self._graph(
                "Keys that did not come back", self._find(KEY_RESTORES_FAILED, "Sum", service="drill_key_restore")
            ),
        )

    def _ask(self, question: str, *answers: cloudwatch.GraphWidget) -> None:
        self._dashboard.add_widgets(cloudwatch.TextWidget(markdown=f"## {question}", width=ROW_WIDTH, height=1))
        self._dashboard.add_widgets(*answers)

    def _graph(self, title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
        return cloudwatch.GraphWidget(title=title, left=list(metrics), width=ROW_WIDTH // 4, height=ROW_HEIGHT)

    def _find(self, metric: Metric, statistic: str, *, service: str = WORKER_SERVICE) -> cloudwatch.Metric:
        return find_metric(metric, environment=self._environment, statistic=statistic, service=service)

    def _published(self, statistic: str, *metrics: Metric) -> list[cloudwatch.Metric]:
        return [self._find(metric, statistic) for metric in metrics]

    def _at(self, metric: Metric, *statistics: str) -> list[cloudwatch.Metric]:
        return [self._find(metric, statistic) for statistic in statistics]

    def _rates(self) -> list[cloudwatch.Metric]:
        return [*self._at(TRANSFER_RATE, "Minimum", "p50"), self._find(SLOW_TRANSFERS, "Maximum")]


_VOLUMES = (BYTES_TRANSFERRED, NETWORK_RECEIVED, NETWORK_SENT)


def _visible(queue: sqs.Queue) -> cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
