"""Which container a record of the transfers table's stream tells of, when its transfer has ended."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel

from pqtransfer.errors import PqtransferError
from pqtransfer.transfers.ledger import FINAL_STATES, TransferState
from pqtransfer.transfers.request import TransferKind, TransferRequest

_CONTAINER = re.compile(r"s3://[^/]+/transfers/([0-9a-f-]{36})/")


@dataclass(frozen=True)
class Ended:
    """A transfer that ended: the container to look at, and whether there should be one."""

    transfer_id: str
    has_container: bool
    correlation_id: str


def find_ended(record: DynamoDBStreamRecordModel) -> Ended | None:
    """What ended; None when nothing did, when no envelope was touched, or when no ledger wrote the row."""
    new = record.dynamodb.NewImage
    if not isinstance(new, Mapping) or new.get("state") not in FINAL_STATES:
        return None
    try:
        request = TransferRequest.from_json(str(new.get("request")))
    except PqtransferError:
        return None
    if request.kind in (TransferKind.VERIFY, TransferKind.DECRYPT):
        return None
    completed = new["state"] == TransferState.COMPLETED
    if request.kind is not TransferKind.REWRAP:
        return Ended(request.transfer_id, has_container=completed, correlation_id=request.correlation_id)
    place = _CONTAINER.fullmatch(request.source or "")
    if place is None:
        return None
    return Ended(place.group(1), has_container=True, correlation_id=request.correlation_id)
