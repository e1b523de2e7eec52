"""What signs is published before it signs: made of secrets, or keys of KMS, and one may take the place of the other."""

from typing import Any

import pytest

from pqtransfer.audit.derived_keys import LOG_KINDS
from pqtransfer.audit.errors import InvalidNoteKeyError, LogMovedError
from pqtransfer.audit.key_changes import SigningKeys
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.aws.audit_signing import KMS_PREFIX, SigningSecrets, publish_signing_keys
from pqtransfer.aws.audit_trust import LOG_KEYS_PATH, PublishedKeysDifferError, S3TrustBucket
from tests.unit.audit.keys import ORIGIN
from tests.unit.aws.test_audit_kms import FakeKms

IN_KMS = f"{KMS_PREFIX}ed ml"


class MemoryTrust(S3TrustBucket):
    """The trust bucket in memory."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}

    def locate(self, path: str) -> str:
        return path

    def find(self, path: str, *, limit_bytes: int) -> PublishedCheckpoint | None:  # noqa: ARG002 - as the bucket
        data = self.documents.get(path)
        return None if data is None else PublishedCheckpoint(data, str(hash(data)))

    def replace(self, path: str, data: bytes, *, etag: str | None) -> None:
        known = self.find(path, limit_bytes=0)
        if (known.etag if known else None) != etag:
            raise LogMovedError
        self.documents[path] = data


class Secrets:
    """Secrets Manager, whose every secret is its own name many times."""

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803 - as AWS calls it
        return {"SecretString": SecretId * 16}


class Site:
    """A trust bucket, and who publishes there."""

    def __init__(self) -> None:
        self.trust, self.kms = MemoryTrust(), FakeKms()
        self.announced: list[SigningKeys] = []

    def publish(self, current: str, former: str | None = None) -> SigningKeys:
        clients: Any = {"client": Secrets(), "kms": self.kms}
        return publish_signing_keys(
            SigningSecrets(ORIGIN, LOG_KINDS, current, former),
            trust=self.trust,
            path=LOG_KEYS_PATH,
            announce=self.announced.append,
            **clients,
        )

    @property
    def published(self) -> list[str]:
        return self.trust.documents[LOG_KEYS_PATH].decode().splitlines()


@pytest.mark.requirement("N6")
@pytest.mark.parametrize("current", ["log-keys", IN_KMS])
def test_keys_are_published_once(current: str) -> None:
    """And are the same at every start; nothing is announced when there were none before."""
    site = Site()
    keys = [[str(each.key) for each in site.publish(current).signers] for _ in range(2)]
    assert keys[0] == keys[1] == site.published
    assert site.announced == []


@pytest.mark.requirement("N6")
@pytest.mark.parametrize(("before", "after"), [("log-keys", "log-keys-2"), ("log-keys", IN_KMS), (IN_KMS, "log-keys")])
def test_new_keys_take_the_place_of_those_that_are_held(before: str, after: str) -> None:
    """Whatever they are made of: both sign, the former are kept on record, and the change is announced once."""
    site = Site()
    former = site.publish(before).current
    for _ in range(2):
        keys = site.publish(after, before)
    assert [str(each.key) for each in keys.current] == site.published
    assert [each.key for each in keys.former] == [each.key for each in former]
    kept = site.trust.documents["keys/former-log"].decode()
    assert kept == " ".join(str(each.key) for each in former) + "\n"
    assert len(site.announced) == 1


@pytest.mark.requirement("N6")
@pytest.mark.parametrize(("after", "former"), [(IN_KMS, None), ("log-keys-3", "log-keys-2")])
def test_keys_of_which_nobody_held_the_former_sign_nothing(after: str, former: str | None) -> None:
    """A signer that was chosen anew on a running log, or a generation that was left out."""
    site = Site()
    site.publish("log-keys")
    with pytest.raises(PublishedKeysDifferError):
        site.publish(after, former)
    assert site.announced == []


def test_a_key_of_another_algorithm_is_refused() -> None:
    """Before anything is published."""
    site = Site()
    with pytest.raises(InvalidNoteKeyError):
        site.publish(f"{KMS_PREFIX}ml ed")
    assert site.trust.documents == {}
