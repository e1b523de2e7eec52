"""Who may do what: the one place where permissions are written. Every statement names its actions and resources.

The names of the functions read as sentences: `write_transfers(storage)`. Wildcards stand only where AWS knows no
resource, or where a resource is made later (a participant's role, an object).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from infra.names import Names
from pqtransfer.aws.dependency_index import BACKFILL_PARTITION

TRANSFERS_PREFIX = "transfers/"
ENVELOPES_OF_TRANSFER = "transfer-index"
PURPOSE_KEY = "pqtransfer:purpose"
TRANSFER_KEY = "pqtransfer:transfer_id"


Conditions: TypeAlias = dict[str, dict[str, str | list[str]]]


@dataclass(frozen=True)
class DataStores:
    """What permissions are about: the storage of one environment.

    `embedded`: this is the embedded cloud. Its requests carry no condition keys of KMS and IAM, so that whatever is
    granted under such a condition would be refused; it expands no `aws:PrincipalTag`; and it forgets roles' paths.
    """

    bucket_name: str
    transfers: dynamodb.ITable
    checkpoints: dynamodb.ITable
    participants: dynamodb.ITable
    envelopes: dynamodb.ITable
    incidents: dynamodb.ITable
    decisions: dynamodb.ITable
    alerts: dynamodb.ITable
    data_key: kms.IKey
    checkpoint_key: kms.IKey
    secrets_key: kms.IKey
    key_backups_bucket_name: str
    key_backups_key: kms.IKey
    embedded: bool

    def when(self, conditions: Conditions) -> Conditions:
        """These conditions, where their keys are carried."""
        return {} if self.embedded else conditions


def read_models(stores: DataStores) -> iam.PolicyStatement:
    """Read containers in the data bucket."""
    return iam.PolicyStatement(
        sid="ReadModels",
        actions=["s3:GetObject", "s3:GetObjectVersion"],
        resources=[f"arn:aws:s3:::{stores.bucket_name}/{TRANSFERS_PREFIX}*"],
    )


def write_models(stores: DataStores) -> list[iam.PolicyStatement]:
    """Write containers in the data bucket, and finish or give up an upload. Never delete."""
    return [
        iam.PolicyStatement(
            sid="WriteModels",
            actions=["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            resources=[f"arn:aws:s3:::{stores.bucket_name}/{TRANSFERS_PREFIX}*"],
        ),
        iam.PolicyStatement(
            sid="FindUploads",
            actions=["s3:ListBucketMultipartUploads"],
            resources=[f"arn:aws:s3:::{stores.bucket_name}"],
        ),
    ]


def find_models(stores: DataStores) -> iam.PolicyStatement:
    """List the data bucket: without it, a container that is missing looks like one that is forbidden."""
    return iam.PolicyStatement(
        sid="FindModels", actions=["s3:ListBucket"], resources=[f"arn:aws:s3:::{stores.bucket_name}"]
    )


def read_source_buckets(buckets: tuple[str, ...]) -> list[iam.PolicyStatement]:
    """Read models in the sites' own buckets; listing makes a missing object tell itself from a denied one."""
    if not buckets:
        return []
    return [
        iam.PolicyStatement(
            sid="ReadSources",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[f"arn:aws:s3:::{bucket}/*" for bucket in buckets],
        ),
        iam.PolicyStatement(
            sid="FindSources", actions=["s3:ListBucket"], resources=[f"arn:aws:s3:::{bucket}" for bucket in buckets]
        ),
    ]


def open_sources(stores: DataStores, stack: Stack, key_arns: tuple[str, ...]) -> list[iam.PolicyStatement]:
    """Have S3 decrypt what the sites encrypted in their buckets under keys of their own."""
    return _use_site_keys("OpenSources", stores, stack, key_arns, "kms:Decrypt")


def seal_destinations(stores: DataStores, stack: Stack, key_arns: tuple[str, ...]) -> list[iam.PolicyStatement]:
    """Have S3 encrypt what is written to the sites' buckets under keys of theirs; uploads in parts decrypt, too."""
    return _use_site_keys("SealDestinations", stores, stack, key_arns, "kms:GenerateDataKey", "kms:Decrypt")


def write_destination_buckets(buckets: tuple[str, ...]) -> list[iam.PolicyStatement]:
    """Write decrypted models to the sites' own buckets, and look at what was written after a crash."""
    if not buckets:
        return []
    return [
        iam.PolicyStatement(
            sid="WriteDestinations",
            actions=[
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:PutObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            resources=[f"arn:aws:s3:::{bucket}/*" for bucket in buckets],
        ),
        iam.PolicyStatement(
            sid="FindDestinations",
            actions=["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resources=[f"arn:aws:s3:::{bucket}" for bucket in buckets],
        ),
    ]


def use_table(sid: str, table: dynamodb.ITable, *actions: str) -> iam.PolicyStatement:
    """Read or write rows of a table by exactly these actions (`GetItem`)."""
    return iam.PolicyStatement(
        sid=sid, actions=[f"dynamodb:{action}" for action in actions], resources=[table.table_arn]
    )


def query_indexes(sid: str, table: dynamodb.ITable, indexes: Sequence[str]) -> iam.PolicyStatement:
    """Query the named indexes of a table, not the table itself."""
    return iam.PolicyStatement(
        sid=sid,
        actions=["dynamodb:Query"],
        resources=[f"{table.table_arn}/index/{index}" for index in indexes],
    )


def note_envelopes(stores: DataStores) -> iam.PolicyStatement:
    """Note which keys an envelope needs, before it is written: add rows, one by one, and say nothing of the whole.

    Batches can delete, too; forgetting is for whoever reads the containers. Whether the index is complete, on which the
    destruction of keys rests, stands in a partition of its own.
    """
    return iam.PolicyStatement(
        sid="NoteEnvelopes",
        actions=["dynamodb:PutItem"],
        resources=[stores.envelopes.table_arn],
        conditions=stores.when(
            {
                "ForAllValues:StringNotEquals": {"dynamodb:LeadingKeys": [BACKFILL_PARTITION]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            }
        ),
    )


def keep_envelopes(stores: DataStores) -> list[iam.PolicyStatement]:
    """Keep the index of which containers need which keys: note, find and forget."""
    return [
        use_table("KeepEnvelopes", stores.envelopes, "GetItem", "Query", "PutItem", "DeleteItem", "BatchWriteItem"),
        query_indexes("FindEnvelopes", stores.envelopes, [ENVELOPES_OF_TRANSFER]),
    ]


def use_data_key(stores: DataStores, stack: Stack, *services: str) -> iam.PolicyStatement:
    """Use the data key, only by way of the services that encrypt with it (`s3`, `sqs`, `dynamodb`)."""
    return iam.PolicyStatement(
        sid="UseDataKey",
        actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
        resources=[stores.data_key.key_arn],
        conditions=stores.when(via(stack, *services)),
    )


def seal_checkpoints(stores: DataStores) -> iam.PolicyStatement:
    """Seal and open data keys, only under an encryption context that names the transfer and the purpose."""
    return iam.PolicyStatement(
        sid="SealCheckpoints",
        actions=["kms:Encrypt", "kms:Decrypt"],
        resources=[stores.checkpoint_key.key_arn],
        conditions=stores.when(
            {
                "StringEquals": {f"kms:EncryptionContext:{PURPOSE_KEY}": "checkpoint"},
                "Null": {f"kms:EncryptionContext:{TRANSFER_KEY}": "false"},
            }
        ),
    )


def act_as_participants(stores: DataStores, stack: Stack, names: Names) -> iam.PolicyStatement:
    """Take the role of a managed participant: the only way to a private key that the system keeps."""
    return iam.PolicyStatement(
        sid="ActAsParticipants", actions=["sts:AssumeRole"], resources=participant_role_arns(stores, stack, names)
    )


def protect_tasks(stack: Stack, names: Names) -> iam.PolicyStatement:
    """Keep a task that works from being scaled in, in this environment's cluster."""
    return iam.PolicyStatement(
        sid="ProtectTasks",
        actions=["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
        resources=[f"arn:aws:ecs:{stack.region}:{stack.account}:task/{names.prefix}/*"],
    )


def make_participant_roles(
    stores: DataStores, stack: Stack, names: Names, *, boundary_arn: str
) -> list[iam.PolicyStatement]:
    """Make roles under the participants' path, only inside the permissions boundary. Whoever says whom they trust may
    not take one, even if it says that they trust it.
    """
    roles = participant_role_arns(stores, stack, names)
    bounded = stores.when({"StringEquals": {"iam:PermissionsBoundary": boundary_arn}})
    return [
        iam.PolicyStatement(
            sid="MakeBoundedRoles", actions=["iam:CreateRole", "iam:PutRolePolicy"], resources=roles, conditions=bounded
        ),
        iam.PolicyStatement(
            sid="KeepRoles",
            actions=["iam:TagRole", "iam:UpdateAssumeRolePolicy"],
            resources=roles,
        ),
        iam.PolicyStatement(
            sid="NeverActAsParticipants", effect=iam.Effect.DENY, actions=["sts:AssumeRole"], resources=roles
        ),
    ]


def make_participant_secrets(stores: DataStores, stack: Stack, names: Names) -> list[iam.PolicyStatement]:
    """Make secrets under the participants' prefix. Reading them back is refused, even if their policy, which whoever
    makes them writes, allows it.
    """
    return [
        iam.PolicyStatement(
            sid="MakeSecrets",
            actions=[
                "secretsmanager:CreateSecret",
                "secretsmanager:PutResourcePolicy",
                "secretsmanager:PutSecretValue",
                "secretsmanager:TagResource",
                "secretsmanager:DescribeSecret",
                "secretsmanager:DeleteSecret",
            ],
            resources=[participant_secrets_arn(stack, names)],
        ),
        iam.PolicyStatement(
            sid="NeverReadSecrets",
            effect=iam.Effect.DENY,
            actions=["secretsmanager:GetSecretValue"],
            resources=[participant_secrets_arn(stack, names)],
        ),
        iam.PolicyStatement(
            sid="EncryptSecrets",
            actions=["kms:GenerateDataKey", "kms:Decrypt"],
            resources=[stores.secrets_key.key_arn],
            conditions=stores.when(via(stack, "secretsmanager")),
        ),
    ]


def read_own_secrets(stores: DataStores, stack: Stack, names: Names) -> list[iam.PolicyStatement]:
    """Read the secrets of the participant that the role is tagged with (`participant`), and nobody else's."""
    own = "" if stores.embedded else "${aws:PrincipalTag/participant}/"
    return [
        iam.PolicyStatement(
            sid="ReadOwnSecrets",
            actions=["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            resources=[participant_secrets_arn(stack, names, participant=own)],
        ),
        iam.PolicyStatement(
            sid="OpenOwnSecrets",
            actions=["kms:Decrypt"],
            resources=[stores.secrets_key.key_arn],
            conditions=stores.when(via(stack, "secretsmanager")),
        ),
    ]


def participant_role_arn_prefix(stack: Stack, names: Names) -> str:
    """The ARN of a managed participant's role, up to the participant's name."""
    return f"arn:aws:iam::{stack.account}:role/{names.participant_path.strip('/')}/{names.participant_role_prefix}"


def participant_role_arns(stores: DataStores, stack: Stack, names: Names) -> list[str]:
    """Every managed participant's role. The embedded cloud forgets the path when it checks a role's ARN."""
    arns = [f"{participant_role_arn_prefix(stack, names)}*"]
    if stores.embedded:
        arns.append(f"arn:aws:iam::{stack.account}:role/{names.participant_role_prefix}*")
    return arns


def participant_secrets_arn(stack: Stack, names: Names, *, participant: str = "") -> str:
    """Every managed participant's secrets, or one participant's."""
    return (
        f"arn:aws:secretsmanager:{stack.region}:{stack.account}:secret:{names.participant_secret_prefix}{participant}*"
    )


def _use_site_keys(
    sid: str, stores: DataStores, stack: Stack, key_arns: tuple[str, ...], *actions: str
) -> list[iam.PolicyStatement]:
    if not key_arns:
        return []
    return [
        iam.PolicyStatement(
            sid=sid, actions=list(actions), resources=list(key_arns), conditions=stores.when(via(stack, "s3"))
        )
    ]


def via(stack: Stack, *services: str) -> Conditions:
    """Only by way of these services."""
    return {"StringEquals": {"kms:ViaService": [f"{service}.{stack.region}.amazonaws.com" for service in services]}}
