"""Decisions on the fleet in DynamoDB: key `service`, `item`: its number, with zeros before it;
each is JSON, and goes after 30 days."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.scaling.deciding import Decision
from pqtransfer.scaling.history import Numbered, read_decision, write_decision

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

KEPT = timedelta(days=30)


class DynamoDecisionHistory:
    """`DecisionHistory` of one service in a table."""

    def __init__(self, table: "Table", *, service: str) -> None:
        self._table = table
        self._service = service

    @classmethod
    def open(
        cls, session: Session, *, table_name: str, service: str, endpoint_url: str | None = None
    ) -> "DynamoDecisionHistory":
        """The history in a table."""
        tables = session.resource("dynamodb", endpoint_url=endpoint_url, config=client_config())
        return cls(tables.Table(table_name), service=service)

    def read_recent(self, *, limit: int) -> Sequence[Numbered]:
        with translated(action="read the last decisions on the fleet"):
            page = self._table.query(
                KeyConditionExpression=Key("service").eq(self._service),
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=limit,
            )
        found = []
        for item in page["Items"]:
            number = int(str(item["item"]))
            decision = read_decision(number, str(item["decision"]))
            found.append(Numbered(number, replace(decision, applied=bool(item["applied"]))))
        return found

    def add(self, number: int, decision: Decision) -> bool:
        item: dict[str, Any] = {
            "service": self._service,
            "item": _write_number(number),
            "decision": write_decision(decision),
            "applied": decision.applied,
            "expires_at": int((decision.at + KEPT).timestamp()),
        }
        try:
            with translated(action="keep a decision on the fleet"):
                self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(service)")
        except ConditionFailedError:
            return False
        return True

    def mark_applied(self, number: int) -> None:
        with translated(action="note that a decision was carried out"):
            self._table.update_item(
                Key={"service": self._service, "item": _write_number(number)},
                UpdateExpression="SET applied = :yes",
                ExpressionAttributeValues={":yes": True},
            )


def _write_number(number: int) -> str:
    """Text order is the order of numbers: one a minute for two million years."""
    return f"{number:012d}"
