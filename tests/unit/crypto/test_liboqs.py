"""liboqs is optional: without it one clear error, and `oqs` is never imported; with it, a second opinion."""

import ctypes.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, ClassVar

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

from pqtransfer.crypto import liboqs
from pqtransfer.crypto.secret import SecretBytes


class FakeKeyEncapsulation:
    """What liboqs-python offers for a KEM, over cryptography's ML-KEM-768."""

    details: ClassVar = {"length_public_key": 1184, "length_secret_key": 64, "length_ciphertext": 1088}

    def __init__(self, _name: str, secret_key: bytes | None = None) -> None:
        if secret_key is not None and len(secret_key) > 64:
            raise ValueError("byte string too long")
        self.seed = secret_key

    def __enter__(self) -> "FakeKeyEncapsulation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seed = None

    def generate_keypair(self) -> bytes:
        key = mlkem.MLKEM768PrivateKey.generate()
        self.seed = key.private_bytes_raw()
        return key.public_key().public_bytes_raw()

    def export_secret_key(self) -> bytes:
        assert self.seed is not None
        return self.seed

    def encap_secret(self, public_key: bytes) -> tuple[bytes, bytes]:
        try:
            secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(public_key).encapsulate()
        except ValueError:
            raise RuntimeError("Can not encapsulate secret") from None
        return ciphertext, secret

    def decap_secret(self, ciphertext: bytes) -> bytes:
        assert self.seed is not None
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(self.seed).decapsulate(ciphertext)


class FakeSignature:
    """What liboqs-python offers for ML-DSA-65. `draft` makes it one that does not know contexts."""

    draft = False

    def __init__(self, _name: str) -> None:
        self.key = mldsa.MLDSA65PrivateKey.generate()

    def __enter__(self) -> "FakeSignature":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self.key

    def generate_keypair(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def sign_with_ctx_str(self, message: bytes, context: bytes) -> bytes:
        return self.key.sign(message, b"" if self.draft else context)

    def verify_with_ctx_str(self, message: bytes, signature: bytes, context: bytes, public_key: bytes) -> bool:
        try:
            mldsa.MLDSA65PublicKey.from_public_bytes(public_key).verify(signature, message, context)
        except InvalidSignature:
            return False
        return True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine with liboqs, in memory."""
    fake = SimpleNamespace(
        KeyEncapsulation=FakeKeyEncapsulation,
        Signature=type("Signature", (FakeSignature,), {}),
        get_enabled_kem_mechanisms=lambda: ("ML-KEM-768",),
        get_enabled_sig_mechanisms=lambda: ("ML-DSA-65",),
        oqs_version=lambda: "0.16.0",
    )
    monkeypatch.setattr(liboqs, "_load_library", lambda: SimpleNamespace(OQS_SIG_supports_ctx_str=None))
    monkeypatch.setitem(sys.modules, "oqs", fake)
    liboqs._import_oqs.cache_clear()
    yield fake
    liboqs._import_oqs.cache_clear()


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without liboqs."""
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    monkeypatch.setenv("OQS_INSTALL_PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "oqs", raising=False)
    liboqs._import_oqs.cache_clear()


CALLS = {
    "list_kems": liboqs.list_kems,
    "self_check": liboqs.self_check,
    "generate_keypair": lambda: liboqs.generate_keypair("ML-KEM-768"),
    "encapsulate": lambda: liboqs.encapsulate("ML-KEM-768", bytes(1184)),
    "decapsulate": lambda: liboqs.decapsulate("ML-KEM-768", SecretBytes(bytes(2400)), bytes(1088)),
}


@pytest.mark.parametrize("call", CALLS)
def test_without_the_library_there_is_one_clear_error(call: str, no_library: None) -> None:
    """It says how to install it, and that nothing else needs it; `oqs`, which would build it, is not imported."""
    with pytest.raises(liboqs.LiboqsMissingError, match=r"cmake .*PQT-1 and PQT-2 work without it"):
        CALLS[call]()
    assert not liboqs.is_available()
    assert "oqs" not in sys.modules


def test_a_library_that_is_no_library_or_too_old_counts_as_missing(
    no_library: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else `oqs` would start to build one, or fail with a missing symbol."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "liboqs.so").write_bytes(b"not a library")
    with pytest.raises(liboqs.LiboqsMissingError, match="not installed"):
        liboqs.list_kems()
    monkeypatch.setattr(liboqs, "_load_library", lambda: SimpleNamespace())
    with pytest.raises(liboqs.LiboqsMissingError, match="too old"):
        liboqs.list_kems()


def test_nothing_of_the_package_imports_it_unasked(tmp_path: Path) -> None:
    """For real, in a process of its own, on a machine without the library: the suites work and `oqs` stays out."""
    program = (
        "import sys; from pqtransfer.crypto import envelope, identity, liboqs, manifest, payload;"
        "identity.generate_identity('a', suite_id='PQT-2').to_public();"
        "print(liboqs.is_available(), 'oqs' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"OQS_INSTALL_PATH": str(tmp_path), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout in {"False False\n", "True False\n"}  # True where the system has a liboqs


def test_kem_calls_go_both_ways(library: SimpleNamespace) -> None:
    assert liboqs.is_available()
    assert liboqs.list_kems() == ("ML-KEM-768",)
    public_key, secret_key = liboqs.generate_keypair("ML-KEM-768")
    ciphertext, shared_secret = liboqs.encapsulate("ML-KEM-768", public_key)
    assert liboqs.decapsulate("ML-KEM-768", secret_key, ciphertext) == shared_secret


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: liboqs.generate_keypair("ROT13"), "no KEM 'ROT13'"),
        (lambda: liboqs.encapsulate("ML-KEM-768", bytes(1183)), "public key of this KEM has 1184 bytes, not 1183"),
        (lambda: liboqs.encapsulate("ML-KEM-768", b"\xff" * 1184), "refused"),
        (lambda: liboqs.decapsulate("ML-KEM-768", SecretBytes(bytes(63)), bytes(1088)), "secret key .* 64 bytes"),
        (lambda: liboqs.decapsulate("ML-KEM-768", SecretBytes(bytes(65)), bytes(1088)), "does not have 65 bytes"),
        (lambda: liboqs.decapsulate("ML-KEM-768", SecretBytes(bytes(64)), bytes(1089)), "ciphertext .* 1088 bytes"),
    ],
    ids=["kem", "short key", "no key", "short secret key", "long secret key", "long ciphertext"],
)
def test_bytes_of_another_length_do_not_reach_the_library(call: Any, complaint: str, library: SimpleNamespace) -> None:
    """The wrapper would pad them with zeros in silence."""
    with pytest.raises(liboqs.LiboqsInputError, match=complaint):
        call()


def test_the_self_check_passes_when_both_agree(library: SimpleNamespace) -> None:
    report = liboqs.self_check()
    assert report.version == "0.16.0"
    assert len(report.checks) == 4


def test_the_self_check_names_what_disagrees(library: SimpleNamespace) -> None:
    """A liboqs from before FIPS 204 signs something else."""
    library.Signature.draft = True
    with pytest.raises(liboqs.LiboqsDisagreesError, match=r"disagree on ML-DSA-65 \(liboqs signs\);"):
        liboqs.self_check()


def test_a_build_that_leaves_an_algorithm_out_is_named(library: SimpleNamespace) -> None:
    library.get_enabled_sig_mechanisms = lambda: ("Falcon-512",)
    with pytest.raises(liboqs.LiboqsInputError, match="no ML-DSA-65"):
        liboqs.self_check()


def test_the_self_check_agrees_with_the_installed_library() -> None:
    """The real one, where it is installed."""
    liboqs._import_oqs.cache_clear()
    if not liboqs.is_available():
        pytest.skip("the native library liboqs is not installed on this machine")
    assert len(liboqs.self_check().checks) == 4
