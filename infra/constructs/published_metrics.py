"""The metrics that pqtransfer publishes, as CloudWatch knows them: for alarms and for the dashboard."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.environments import EnvironmentConfig
from pqtransfer.operations.metrics import (
    ENVIRONMENT_DIMENSION,
    NAMESPACE,
    SERVICE_DIMENSION,
    WORKER_SERVICE,
    Metric,
)

MINUTE = Duration.minutes(1)


def find_metric(
    metric: Metric,
    *,
    environment: EnvironmentConfig,
    statistic: str,
    service: str = WORKER_SERVICE,
    period: Duration = MINUTE,
) -> cloudwatch.Metric:
    """A metric of one service of the environment; `statistic` is `Sum`, `Maximum`, `p99`, ..."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=metric.name,
        dimensions_map={ENVIRONMENT_DIMENSION: environment.name, SERVICE_DIMENSION: service},
        statistic=statistic,
        period=period,
    )
