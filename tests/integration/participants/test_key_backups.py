"""Backups on S3 and KMS in memory: written once, and opened only under the context they were sealed in."""

import boto3
import pytest

from pqtransfer.aws.failures import CloudNotFoundError
from pqtransfer.aws.key_backups import KmsBackupSealer, S3BackupStore, connect_key_backups
from pqtransfer.crypto.key_backup import NotARecoveryKeyError
from pqtransfer.crypto.keypairs import KeyPurpose, generate_private_key
from pqtransfer.crypto.sealing import UnsealError
from pqtransfer.crypto.secret import SecretBytes

BUCKET = "backups"
CONTEXT = {"pqtransfer:purpose": "key-backup", "pqtransfer:environment": "dev", "pqtransfer:key_id": "0" * 64}


@pytest.fixture
def store(aws: None) -> S3BackupStore:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return S3BackupStore(client, bucket=BUCKET)


@pytest.fixture
def sealer(aws: None) -> KmsBackupSealer:
    client = boto3.client("kms")
    return KmsBackupSealer(client, key_arn=client.create_key()["KeyMetadata"]["Arn"])


def test_a_backup_is_written_once(store: S3BackupStore) -> None:
    """A second one under its name changes nothing, and makes no version."""
    for data in (b"first", b"second"):
        store.create("site-a/kem/0.json", data)
    assert store.read("site-a/kem/0.json", limit_bytes=100) == b"first"
    assert len(boto3.client("s3").list_object_versions(Bucket=BUCKET)["Versions"]) == 1
    assert store.holds("site-a/kem/0.json")


def test_a_backup_is_replaced_on_demand_alone(store: S3BackupStore) -> None:
    """The version before is still there."""
    store.create("site-a/kem/0.json", b"damaged")
    store.replace("site-a/kem/0.json", b"good")
    assert store.read("site-a/kem/0.json", limit_bytes=100) == b"good"
    assert len(boto3.client("s3").list_object_versions(Bucket=BUCKET)["Versions"]) == 2


def test_no_more_is_read_than_the_limit_says(store: S3BackupStore) -> None:
    """And one byte, by which whoever reads sees that there is more."""
    store.create("site-a/kem/0.json", bytes(1000))
    assert len(store.read("site-a/kem/0.json", limit_bytes=10) or b"") == 11


def test_names_that_begin_alike(store: S3BackupStore) -> None:
    """The keys of one participant are listed without those of another; half a name is no name."""
    for name in ("site-a/kem/0.json", "site-ab/kem/0.json", "site-a/signing/1.json"):
        store.create(name, b"{}")
    assert list(store.list_names(prefix="site-a/")) == ["site-a/kem/0.json", "site-a/signing/1.json"]
    assert not store.holds("site-a/kem/0")
    store.remove("site-a/kem/0.json")
    store.remove("site-a/kem/0.json")
    assert store.read("site-a/kem/0.json", limit_bytes=10) is None


def test_a_bucket_that_is_not_there(aws: None) -> None:
    """Is an error when something is to be kept in it."""
    with pytest.raises(CloudNotFoundError):
        S3BackupStore(boto3.client("s3"), bucket="elsewhere").create("a", b"")


def test_a_seal_opens_under_its_context_alone(sealer: KmsBackupSealer) -> None:
    """Another environment, participant or key, or bytes that were changed: it does not open."""
    sealed = sealer.seal(SecretBytes(b"seed"), context=CONTEXT)
    assert sealer.unseal(sealed, context=CONTEXT) == SecretBytes(b"seed")
    with pytest.raises(UnsealError):
        sealer.unseal(sealed, context={**CONTEXT, "pqtransfer:environment": "production"})
    with pytest.raises(UnsealError):
        sealer.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), context=CONTEXT)


def test_a_recovery_key_of_the_wrong_kind(aws: None) -> None:
    """Is refused before anything is sealed to it."""
    weak = generate_private_key(KeyPurpose.KEM, "PQT-1").public_key.to_json().decode()
    with pytest.raises(NotARecoveryKeyError):
        connect_key_backups(boto3.Session(), environment="dev", bucket=BUCKET, key_arn="key", recovery_public_key=weak)
