"""What `send` and `receive` take from the command line and from a sender, before anything goes to the cloud."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.cli.models import InvalidDeadlineError, InvalidDigestError, _read_digest, _read_time, name_file
from pqtransfer.crypto.manifest import Manifest, SignedManifest
from tests.containers import TRANSFER_ID, make_container

MANIFEST = SignedManifest.from_json(make_container(b"x").manifest_json).body
FALLBACK = f"{TRANSFER_ID}.model"


def manifest_with(filename: str) -> Manifest:
    return MANIFEST.model_copy(update={"metadata": {"filename": filename}})


@pytest.mark.parametrize(
    ("filename", "used"),
    [
        ("model.safetensors", "model.safetensors"),
        ("modèle é.bin", "modèle é.bin"),
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/job", "job"),
        ("..", FALLBACK),
        (".", FALLBACK),
        ("", FALLBACK),
        ("a/..", FALLBACK),
        ("a/", FALLBACK),
        (".bashrc", FALLBACK),
        ("..\\..\\boot.ini", FALLBACK),
        ("C:\\model", FALLBACK),
        ("a\x00b", FALLBACK),
        ("a\nb", FALLBACK),
        ("\x1b[2J", FALLBACK),
        ("\u202egnp.exe", FALLBACK),  # shown right to left
        ("a" * 200, "a" * 200),
        ("a" * 201, FALLBACK),
        ("模" * 67, FALLBACK),  # 201 bytes on disk
    ],
)
def test_a_sender_names_a_file_and_never_a_place(filename: str, used: str) -> None:
    """What is no plain name of reasonable length is replaced by the transfer's id."""
    assert name_file(manifest_with(filename)) == used


def test_without_a_name_the_transfer_names_the_file() -> None:
    """Metadata is optional."""
    assert name_file(MANIFEST.model_copy(update={"metadata": {}})) == FALLBACK


@given(st.text(max_size=300))
def test_no_name_escapes_the_directory(filename: str) -> None:
    """Whatever a sender writes: one path component, visible, short enough for its partial file and journal."""
    name = name_file(manifest_with(filename))
    assert Path("/directory", name).resolve().parent == Path("/directory")
    assert not name.startswith(".")
    assert len(f".{name}.pqtransfer-journal.new".encode()) <= 255


DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (DIGEST.hex(), DIGEST),
        (DIGEST.hex().upper(), DIGEST),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", DIGEST),
        ("", None),
        ("00", None),
        (DIGEST.hex()[:-1], None),
        (DIGEST.hex() + "00", None),
        ("z" * 64, None),
        ("é" * 64, None),
    ],
)
def test_digests(text: str, digest: bytes | None) -> None:
    """As sha256sum prints them, or base64."""
    if digest is None:
        with pytest.raises(InvalidDigestError, match="sha256sum"):
            _read_digest(text)
    else:
        assert _read_digest(text) == digest


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-12-24", "2026-12-24T18:00:00", "2026-13-01T00:00:00Z"])
def test_deadlines_that_are_none(text: str) -> None:
    """A time without its zone is refused too: it would mean something else on the worker."""
    with pytest.raises(InvalidDeadlineError, match="zone"):
        _read_time(text)


def test_a_deadline() -> None:
    """With a zone."""
    assert _read_time("2026-12-24T18:00:00+00:00") == datetime(2026, 12, 24, 18, tzinfo=UTC)
