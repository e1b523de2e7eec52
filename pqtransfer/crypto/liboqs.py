"""liboqs, where its native library is installed: KEMs beyond the suites, and a second opinion on ML-KEM and ML-DSA.

This is the one module that knows `oqs`. Importing `oqs` clones and builds liboqs when the library is missing, ends the
process when that fails, and writes to standard output; so it is imported only when a function here is called, and only
after the library was found and loaded the way `oqs` itself would.

No suite uses it: a suite is whole and the same everywhere, and a container has to open on machines without liboqs.
"""

import contextlib
import ctypes
import ctypes.util
import io
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError, IntegrityError, UnavailableError

HOW_TO_INSTALL = (
    "build liboqs 0.16 (cmake -S liboqs -B build -DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_PREFIX=$HOME/_oqs && "
    "cmake --build build --target install), or set OQS_INSTALL_PATH to where it is"
)
NEWEST_NEEDED_SYMBOL = "OQS_SIG_supports_ctx_str"

_MESSAGE = b"pqtransfer liboqs self-check"
_CONTEXT = b"pqtransfer/v1/self-check"


class LiboqsMissingError(UnavailableError):
    """The native library is not there, or cannot be used. Nothing but this module needs it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {HOW_TO_INSTALL}. The suites PQT-1 and PQT-2 work without it")


class LiboqsInputError(InputError):
    """A KEM is not in this liboqs, or bytes are not of that KEM."""


class LiboqsDisagreesError(IntegrityError):
    """Two implementations of one standard give different answers: one of them must not be used."""

    def __init__(self, version: str, failed: tuple[str, ...]) -> None:
        super().__init__(
            f"liboqs {version} and cryptography disagree on {', '.join(failed)}; "
            "install a liboqs that implements FIPS 203 and FIPS 204 as published (0.12 or later)"
        )


@dataclass(frozen=True)
class LiboqsReport:
    """What a self-check compared. Every check passed, or there is an error instead."""

    version: str
    checks: tuple[str, ...]


def is_available() -> bool:
    """True when the native library is installed and new enough."""
    try:
        _require_library()
    except LiboqsMissingError:
        return False
    return True


def list_kems() -> tuple[str, ...]:
    """The names of the KEMs that this liboqs offers, for example `FrodoKEM-976-SHAKE`.

    Raises:
        LiboqsMissingError: there is no liboqs.
    """
    return tuple(_import_oqs().get_enabled_kem_mechanisms())


def generate_keypair(kem_name: str) -> tuple[bytes, SecretBytes]:
    """A new key pair: public key, secret key.

    Raises:
        LiboqsMissingError, LiboqsInputError: there is no liboqs, or not this KEM in it.
    """
    with _open_kem(kem_name) as kem:
        public_key = bytes(kem.generate_keypair())
        return public_key, SecretBytes(kem.export_secret_key())


def encapsulate(kem_name: str, public_key: bytes) -> tuple[bytes, SecretBytes]:
    """Ciphertext and shared secret for a public key.

    Raises:
        LiboqsMissingError, LiboqsInputError: there is no liboqs, not this KEM in it, or the key is not one of it.
    """
    with _open_kem(kem_name) as kem:
        _require_length(kem, "public_key", public_key)
        ciphertext, shared_secret = _call(kem_name, kem.encap_secret, public_key)
        return bytes(ciphertext), SecretBytes(shared_secret)


def decapsulate(kem_name: str, secret_key: SecretBytes, ciphertext: bytes) -> SecretBytes:
    """The shared secret. Where the KEM rejects implicitly, a changed ciphertext gives another secret, not an error.

    Raises:
        LiboqsMissingError, LiboqsInputError: there is no liboqs, not this KEM in it, or the bytes are not of it.
    """
    with _open_kem(kem_name, secret_key.reveal()) as kem:
        _require_length(kem, "secret_key", secret_key.reveal())
        _require_length(kem, "ciphertext", ciphertext)
        return SecretBytes(_call(kem_name, kem.decap_secret, ciphertext))


def self_check() -> LiboqsReport:
    """Compare ML-KEM-768 and ML-DSA-65 with `cryptography`'s, both ways.

    Raises:
        LiboqsMissingError: there is no liboqs.
        LiboqsInputError: this build of liboqs leaves one of them out.
        LiboqsDisagreesError: the two do not agree.
    """
    oqs = _import_oqs()
    if "ML-DSA-65" not in oqs.get_enabled_sig_mechanisms():
        raise LiboqsInputError("this liboqs has no ML-DSA-65; build it with all NIST algorithms")
    results = {
        "ML-KEM-768 (liboqs encapsulates)": _liboqs_encapsulates(),
        "ML-KEM-768 (liboqs decapsulates)": _liboqs_decapsulates(),
        "ML-DSA-65 (liboqs verifies)": _liboqs_verifies(oqs),
        "ML-DSA-65 (liboqs signs)": _liboqs_signs(oqs),
    }
    failed = tuple(name for name, agrees in results.items() if not agrees)
    if failed:
        raise LiboqsDisagreesError(oqs.oqs_version(), failed)
    return LiboqsReport(version=oqs.oqs_version(), checks=tuple(results))


def _liboqs_encapsulates() -> bool:
    key = mlkem.MLKEM768PrivateKey.generate()
    ciphertext, shared_secret = encapsulate("ML-KEM-768", key.public_key().public_bytes_raw())
    return SecretBytes(key.decapsulate(ciphertext)) == shared_secret


def _liboqs_decapsulates() -> bool:
    public_key, secret_key = generate_keypair("ML-KEM-768")
    shared_secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(public_key).encapsulate()
    return decapsulate("ML-KEM-768", secret_key, ciphertext) == SecretBytes(shared_secret)


def _liboqs_verifies(oqs: Any) -> bool:
    key = mldsa.MLDSA65PrivateKey.generate()
    public_key = key.public_key().public_bytes_raw()
    with oqs.Signature("ML-DSA-65") as verifier:
        return bool(
            verifier.verify_with_ctx_str(_MESSAGE, key.sign(_MESSAGE, _CONTEXT), _CONTEXT, public_key)
        ) and not verifier.verify_with_ctx_str(_MESSAGE, key.sign(_MESSAGE), _CONTEXT, public_key)


def _liboqs_signs(oqs: Any) -> bool:
    with oqs.Signature("ML-DSA-65") as signer:
        public_key = mldsa.MLDSA65PublicKey.from_public_bytes(signer.generate_keypair())
        signature = signer.sign_with_ctx_str(_MESSAGE, _CONTEXT)
    try:
        public_key.verify(signature, _MESSAGE, _CONTEXT)
    except InvalidSignature:
        return False
    return True


def _open_kem(kem_name: str, secret_key: bytes | None = None) -> Any:
    oqs = _import_oqs()
    if kem_name not in oqs.get_enabled_kem_mechanisms():
        raise LiboqsInputError(f"this liboqs has no KEM {kem_name[:40]!r}; list_kems() names those it has")
    try:
        return oqs.KeyEncapsulation(kem_name, secret_key)
    except ValueError:  # ctypes: longer than the buffer that liboqs asks for
        raise LiboqsInputError(f"a secret key of {kem_name} does not have {len(secret_key or b'')} bytes") from None


def _require_length(kem: Any, part: str, value: bytes) -> None:
    """liboqs reads as many bytes as the KEM's parts have: the wrapper pads a shorter value with zeros in silence."""
    expected = kem.details[f"length_{part}"]
    if len(value) != expected:
        raise LiboqsInputError(f"a {part.replace('_', ' ')} of this KEM has {expected} bytes, not {len(value)}")


def _call(kem_name: str, function: Any, argument: bytes) -> Any:
    try:
        return function(argument)
    except RuntimeError:
        raise LiboqsInputError(f"{kem_name} refused these bytes") from None


@cache
def _import_oqs() -> Any:
    _require_library()
    with contextlib.redirect_stdout(io.StringIO()):  # its logger writes to the standard output that it finds here
        import oqs

    return oqs


def _require_library() -> None:
    library = _load_library()
    if library is None:
        raise LiboqsMissingError("the native library liboqs is not installed")
    if not hasattr(library, NEWEST_NEEDED_SYMBOL):
        raise LiboqsMissingError("the native library liboqs is too old for liboqs-python")


def _load_library() -> ctypes.CDLL | None:
    """The library that `oqs` would load: the system's first, then the one under its install directory."""
    for path in _list_candidates():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


def _list_candidates() -> list[str]:
    found = [ctypes.util.find_library("liboqs"), ctypes.util.find_library("oqs")]
    directory = Path(os.environ.get("OQS_INSTALL_PATH") or Path.home() / "_oqs")
    suffix = ".dylib" if platform.system() == "Darwin" else ".so"
    return [path for path in found if path] + [str(directory / lib / f"liboqs{suffix}") for lib in ("lib", "lib64")]
