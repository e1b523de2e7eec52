"""Who may do what with the backups of private keys and the key service's queue; see `grants` for how to read it."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from infra.constructs.grants import PURPOSE_KEY, DataStores, via
from pqtransfer.aws.key_backups import BACKUPS_PREFIX
from pqtransfer.crypto.key_backup import CONTEXT_PURPOSE


def make_key_backups(stores: DataStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Write backups of private keys, see which there are, and let go of those of destroyed keys. Never read one."""
    return [
        iam.PolicyStatement(
            sid="WriteKeyBackups",
            actions=["s3:PutObject", "s3:DeleteObject"],
            resources=[f"arn:aws:s3:::{stores.key_backups_bucket_name}/{BACKUPS_PREFIX}*"],
        ),
        find_key_backups(stores),
        iam.PolicyStatement(
            sid="SealKeyBackups",
            actions=["kms:Encrypt"],
            resources=[stores.key_backups_key.key_arn],
            conditions=stores.when({"StringEquals": {f"kms:EncryptionContext:{PURPOSE_KEY}": CONTEXT_PURPOSE}}),
        ),
        iam.PolicyStatement(
            sid="EncryptKeyBackups",
            actions=["kms:GenerateDataKey"],
            resources=[stores.key_backups_key.key_arn],
            conditions=stores.when(via(stack, "s3")),
        ),
    ]


def find_key_backups(stores: DataStores) -> iam.PolicyStatement:
    """See which keys have a backup."""
    return iam.PolicyStatement(
        sid="FindKeyBackups",
        actions=["s3:ListBucket"],
        resources=[f"arn:aws:s3:::{stores.key_backups_bucket_name}"],
    )


def open_key_backups(stores: DataStores, stack: Stack) -> list[iam.PolicyStatement]:
    """Read backups of private keys, and open them: only under the context of a backup."""
    return [
        iam.PolicyStatement(
            sid="ReadKeyBackups",
            actions=["s3:GetObject"],
            resources=[f"arn:aws:s3:::{stores.key_backups_bucket_name}/{BACKUPS_PREFIX}*"],
        ),
        find_key_backups(stores),
        iam.PolicyStatement(
            sid="OpenKeyBackups",
            actions=["kms:Decrypt"],
            resources=[stores.key_backups_key.key_arn],
            conditions=stores.when({"StringEquals": {f"kms:EncryptionContext:{PURPOSE_KEY}": CONTEXT_PURPOSE}}),
        ),
        *(
            []
            if stores.embedded
            else [
                iam.PolicyStatement(
                    sid="DecryptKeyBackups",
                    actions=["kms:Decrypt"],
                    resources=[stores.key_backups_key.key_arn],
                    conditions=via(stack, "s3"),
                )
            ]
        ),
    ]


def work_off_orders(stores: DataStores, queue: sqs.IQueue) -> iam.PolicyStatement:
    """Take orders from the key service's queue, and put orders into it."""
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage"]
    if stores.embedded:
        actions.append("sqs:SendMessageBatch")  # AWS counts it as SendMessage, and knows no such action
    return iam.PolicyStatement(sid="WorkOffOrders", actions=actions, resources=[queue.queue_arn])
