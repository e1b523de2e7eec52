"""The public key that backups are sealed to: from the file that the configuration names; local makes its own."""

import os
from pathlib import Path

from infra.environments import EnvironmentConfig
from infra.finished_folder import finished_once
from infra.function_packages import BUILD
from infra.overrides import InvalidSettingError
from pqtransfer.crypto.key_backup import RECOVERY_SUITE_ID, require_recovery_key
from pqtransfer.crypto.keypairs import KEY_DOCUMENT_LIMIT_BYTES, KeyPurpose, PublicKey, generate_private_key
from pqtransfer.errors import PqtransferError

LOCAL_FOLDER = BUILD / "recovery-key"
"""On a developer's machine, beside what is built: nobody's data depends on it."""
PUBLIC_NAME = "recovery-public-key.json"
PRIVATE_NAME = "recovery-private-key.json"


def read_recovery_key(environment: EnvironmentConfig) -> str:
    """The public key document that functions are given.

    Raises:
        InvalidSettingError: there is no such file, or no such key in it.
    """
    if environment.recovery_public_key is None:
        if not environment.is_local:
            raise InvalidSettingError(f"{environment.name} needs recovery_public_key: make one with keys recovery-key")
        _make_local_key()
    path = Path(environment.recovery_public_key or LOCAL_FOLDER / PUBLIC_NAME)
    try:
        with path.open("rb") as file:
            data = file.read(KEY_DOCUMENT_LIMIT_BYTES + 1)
        require_recovery_key(PublicKey.from_json(data))
    except OSError as error:
        raise InvalidSettingError(f"recovery_public_key={path} cannot be read: {error.strerror}") from None
    except PqtransferError as error:
        raise InvalidSettingError(f"recovery_public_key={path} is no recovery key: {error}") from None
    return data.decode("ascii")


def _make_local_key() -> None:
    with finished_once(LOCAL_FOLDER) as unfinished:
        if unfinished:
            key = generate_private_key(KeyPurpose.KEM, RECOVERY_SUITE_ID)
            descriptor = os.open(unfinished / PRIVATE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.to_json().reveal())
            (unfinished / PUBLIC_NAME).write_bytes(key.public_key.to_json())
