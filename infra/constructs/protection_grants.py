"""Who may do what with the containers whose keys changed; see `grants` for how to read it."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra.constructs import audit_grants, grants
from infra.constructs.audit_grants import AuditStores
from infra.constructs.grants import TRANSFERS_PREFIX, DataStores
from infra.names import Names
from pqtransfer.aws.participants import REVOCATION_ATTRIBUTES
from pqtransfer.transfers.folder import ENVELOPE_NAME, PAYLOAD_NAME, RESIGNED_NAME


def renew_envelopes(stores: DataStores, audit: AuditStores, stack: Stack, names: Names) -> list[iam.PolicyStatement]:
    """Read containers, write envelopes and nothing else of them, as whoever's keys the system keeps."""
    return [
        grants.use_table("ReadRegistry", stores.participants, "Query"),
        grants.use_table("FindOwners", stores.participants, "Scan"),
        *grants.keep_envelopes(stores),
        grants.read_models(stores),
        grants.find_models(stores),
        _write(stores, "WriteEnvelopes", ENVELOPE_NAME),
        grants.act_as_participants(stores, stack, names),
        *audit_grants.write_audit(audit, stack),
    ]


def respond(stores: DataStores) -> list[iam.PolicyStatement]:
    """Change the states of keys, keep incidents, sign manifests anew, and remove versions of what was re-encrypted.

    Of a participant's items it touches what a revocation does: no public key, principal or role, so it can add no key.
    It could give a key any state, a revoked one its former one too.
    """
    return [
        iam.PolicyStatement(
            sid="RevokeKeys",
            actions=["dynamodb:UpdateItem"],
            resources=[stores.participants.table_arn],
            conditions=stores.when(
                {
                    "ForAllValues:StringEquals": {"dynamodb:Attributes": list(REVOCATION_ATTRIBUTES)},
                    "Null": {"dynamodb:Attributes": "false"},
                }
            ),
        ),
        grants.use_table("KeepIncidents", stores.incidents, "GetItem", "Query", "PutItem"),
        grants.use_table("AskWorkers", stores.transfers, "GetItem", "PutItem", "UpdateItem"),
        _write(stores, "WriteResigned", RESIGNED_NAME),
        iam.PolicyStatement(
            sid="RemoveReencrypted",
            actions=["s3:DeleteObjectVersion"],
            resources=[_every(stores, name) for name in (PAYLOAD_NAME, ENVELOPE_NAME)],
        ),
        iam.PolicyStatement(
            sid="FindVersions", actions=["s3:ListBucketVersions"], resources=[f"arn:aws:s3:::{stores.bucket_name}"]
        ),
    ]


def _write(stores: DataStores, sid: str, name: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=["s3:PutObject"], resources=[_every(stores, name)])


def _every(stores: DataStores, name: str) -> str:
    return f"arn:aws:s3:::{stores.bucket_name}/{TRANSFERS_PREFIX}*/{name}"
