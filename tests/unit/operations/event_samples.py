"""Events as AWS documents them and this system writes them, as EventBridge hands them over."""

from typing import Any

from tests.unit.operations.alert_samples import NOW

ACCOUNT = "123456789012"
CLUSTER = f"arn:aws:ecs:eu-central-1:{ACCOUNT}:cluster/pqtransfer-dev"
SERVICE = f"arn:aws:ecs:eu-central-1:{ACCOUNT}:service/pqtransfer-dev/workers"
TASK = f"arn:aws:ecs:eu-central-1:{ACCOUNT}:task/pqtransfer-dev/0123456789abcdef0123456789abcdef"
FAILING = "the function rotate_keys fails; follow docs/runbooks/function-failing.md"


def make_event(source: str, detail_type: str, detail: dict[str, Any], *resources: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-central-1",
        "resources": list(resources),
        "detail": detail,
    }


def make_alarm(
    value: str,
    *,
    says: str = FAILING,
    dimensions: dict[str, str] | None = None,
    rule: str = "",
    source: str = "aws.cloudwatch",
) -> dict[str, Any]:
    metric = {
        "namespace": "AWS/Lambda",
        "name": "Errors",
        "dimensions": dimensions or {"FunctionName": "rotate"},
    }
    return make_event(
        source,
        "CloudWatch Alarm State Change",
        {
            "alarmName": "pqtransfer-dev-rotate-failing",
            "state": {
                "value": value,
                "reason": "Threshold Crossed: 1 datapoint [1.0] was greater than the threshold (0.0).",
                "reasonData": "{}",
                "timestamp": "2026-03-01T12:00:00.123+0000",
            },
            "previousState": {"value": "OK", "timestamp": "2026-03-01T11:00:00.000+0000"},
            "configuration": {
                "description": says,
                **({"alarmRule": rule} if rule else {}),
                "metrics": [
                    {"id": "m1", "metricStat": {"metric": metric, "period": 300, "stat": "Sum"}, "returnData": True}
                ],
            },
        },
        f"arn:aws:cloudwatch:eu-central-1:{ACCOUNT}:alarm:pqtransfer-dev-rotate-failing",
    )


def make_task(*, exitCode: int | None = None, **fields: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
    container = {"containerArn": "arn", "lastStatus": "RUNNING", "name": "worker", "taskArn": TASK}
    if exitCode is not None:
        container |= {"exitCode": exitCode}  # type: ignore[dict-item]
    detail = {
        "clusterArn": CLUSTER,
        "taskArn": TASK,
        "group": "service:workers",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "launchType": "FARGATE",
        "containers": [container],
        "updatedAt": "2026-03-01T12:00:00.5Z",
        "version": 3,
        **fields,
    }
    return make_event("aws.ecs", "ECS Task State Change", detail, TASK)


def make_deployment(outcome: str) -> dict[str, Any]:
    detail = {
        "eventType": "ERROR" if outcome == "FAILED" else "INFO",
        "eventName": f"SERVICE_DEPLOYMENT_{outcome}",
        "deploymentId": "ecs-svc/123",
        "updatedAt": "2026-03-01T12:00:00Z",
        "reason": "ECS deployment circuit breaker: task failed to start.",
    }
    return make_event("aws.ecs", "ECS Deployment State Change", detail, SERVICE)


def make_service_action(name: str, kind: str) -> dict[str, Any]:
    detail = {
        "eventType": kind,
        "eventName": name,
        "clusterArn": CLUSTER,
        "reason": "RESOURCE:FARGATE",
        "createdAt": "2026-03-01T12:00:00.123Z",
    }
    return make_event("aws.ecs", "ECS Service Action", detail, SERVICE)


def make_guardduty(severity: float, *, archived: bool = False) -> dict[str, Any]:
    detail = {
        "schemaVersion": "2.0",
        "accountId": ACCOUNT,
        "region": "eu-central-1",
        "id": "f-1",
        "type": "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
        "resource": {"resourceType": "AccessKey"},
        "service": {"serviceName": "guardduty", "archived": archived, "count": 3},
        "severity": severity,
        "title": "Credentials are used from outside of AWS",
        "description": "...",
    }
    return make_event("aws.guardduty", "GuardDuty Finding", detail)


def make_inspector(severity: str, *, status: str = "ACTIVE", arn: str = "arn:f") -> dict[str, Any]:
    detail = {
        "awsAccountId": ACCOUNT,
        "findingArn": arn,
        "severity": severity,
        "status": status,
        "title": "CVE-2026-0001 - openssl",
        "type": "PACKAGE_VULNERABILITY",
        "resources": [{"id": "arn:image", "type": "AWS_ECR_CONTAINER_IMAGE"}],
    }
    return make_event("aws.inspector2", "Inspector2 Finding", detail, "arn:image")


def make_alert() -> dict[str, Any]:
    detail = {
        "code": "key-compromised",
        "key": "i-1",
        "severity": "critical",
        "summary": "keys of hospital-b are lost",
        "remedy": "follow docs/runbooks/key-compromised.md",
        "raised_at": NOW.isoformat(),
        "correlation_id": "c-1",
        "details": {"participant": "hospital-b"},
    }
    return make_event("pqtransfer", "AlertRaised", detail)


def make_failure(error: str) -> dict[str, Any]:
    detail = {
        "transfer_id": "t-1",
        "state": "FAILED",
        "previous_state": "RUNNING",
        "sender": "hospital-a",
        "recipients": ["hospital-b"],
        "correlation_id": "c-1",
        "reason": {"code": error, "message": "it went wrong"},
        "at": NOW.isoformat(),
    }
    return make_event("pqtransfer", "TransferStateChanged", detail)
