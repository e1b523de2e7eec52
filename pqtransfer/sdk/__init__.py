"""The Python SDK: encrypt models for their recipients, decrypt, verify and read them.

    from pathlib import Path
    from pqtransfer.sdk import encrypt_file, load_private_identity, load_public_identity, open_model

    sender = load_private_identity(Path("keys/hospital-a"))
    recipient = load_public_identity(Path("hospital-b/public-keys.json"))
    encrypt_file(Path("model.safetensors"), sender=sender, recipients=[recipient], out=Path("container"))

    with open_model(Path("container"), key=load_private_identity(Path("keys/hospital-b"))) as model:
        header = model.read_range(0, 8)

Every error is a `pqtransfer.errors.PqtransferError`; its message says what happened and how to mend it.
"""

from pqtransfer.crypto.identity import PrivateIdentity, PublicIdentity, generate_identity
from pqtransfer.sdk.keyfiles import load_private_identity, load_public_identity, save_identity
from pqtransfer.sdk.offline import (
    OpenContainer,
    decrypt_directory,
    encrypt_file,
    inspect_directory,
    open_directory,
    open_model,
    rewrap_directory,
    verify_directory,
)
from pqtransfer.sdk.reader import ModelReader

__all__ = [
    "ModelReader",
    "OpenContainer",
    "PrivateIdentity",
    "PublicIdentity",
    "decrypt_directory",
    "encrypt_file",
    "generate_identity",
    "inspect_directory",
    "load_private_identity",
    "load_public_identity",
    "open_directory",
    "open_model",
    "rewrap_directory",
    "save_identity",
    "verify_directory",
]
