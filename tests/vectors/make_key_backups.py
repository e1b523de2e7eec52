"""Writes `key-backup.json`: a recovery key, and backups that it opens. Each sealing is new, so it is run once."""

import json
from datetime import UTC, datetime
from pathlib import Path

from pqtransfer.crypto.key_backup import KeyBackup, seal_for_recovery
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.crypto.secret import SecretBytes
from tests.containers import make_bytes

FILE = Path(__file__).with_name("key-backup.json")
ENVIRONMENT, PARTICIPANT = "production", "hospital-a"


def main() -> None:
    recovery_seed = make_bytes("pqtransfer test recovery", 32)
    recovery = PrivateKey(KeyPurpose.KEM, "PQT-2", SecretBytes(recovery_seed))
    cases = []
    for suite_id in ("PQT-1", "PQT-2"):
        for purpose in KeyPurpose:
            seed = make_bytes(f"pqtransfer test {suite_id} {purpose} {PARTICIPANT}", 32)
            key = PrivateKey(purpose, suite_id, SecretBytes(seed))
            backup = KeyBackup(
                environment=ENVIRONMENT,
                participant=PARTICIPANT,
                public_key=key.public_key,
                created_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
                kms_key="arn:aws:kms:eu-central-1:123456789012:key/placeholder",
                kms_sealed=b"placeholder",
                recovery_key_id=recovery.public_key.key_id,
                recovery_sealed=seal_for_recovery(
                    key, recovery.public_key, environment=ENVIRONMENT, participant=PARTICIPANT
                ),
            )
            cases.append(
                {
                    "suite": suite_id,
                    "purpose": purpose,
                    "seed": seed.hex(),
                    "key_id": key.public_key.key_id,
                    "backup": backup.to_json().decode("ascii"),
                }
            )
    document = {"recovery_seed": recovery_seed.hex(), "recovery_key_id": recovery.public_key.key_id, "backups": cases}
    FILE.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
