"""An identity binds a name, a KEM key and a signing key: none of the three can be exchanged."""

import json

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError, write_canonical_json
from pqtransfer.crypto.identity import (
    InvalidNameError,
    InvalidProofError,
    PrivateIdentity,
    PublicIdentity,
    generate_identity,
    require_participant_name,
)
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import UnknownSuiteError
from pqtransfer.errors import PqtransferError
from tests.containers import make_identity


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_both_files_are_read_back(suite_id: str) -> None:
    identity = generate_identity("hospital-a", suite_id=suite_id)
    public = PublicIdentity.from_json(identity.to_public().to_json())
    assert (public.participant, public.suite_id) == ("hospital-a", suite_id)
    again = PrivateIdentity.from_json(identity.to_json())
    assert (again.kem.public_key, again.signing.public_key) == (public.kem, public.signing)


def test_an_identity_of_an_unknown_suite_is_not_generated() -> None:
    with pytest.raises(UnknownSuiteError):
        generate_identity("hospital-a", suite_id="PQT-9")


@pytest.mark.parametrize("name", ["a", "a1", "1", "hospital-a", "a--b", "a" * 48])
def test_names_that_are_allowed(name: str) -> None:
    assert require_participant_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a b", "a/b", "../a", "a\n", "é", "a" * 49, "a.b", "a\0"])
def test_names_that_could_mean_something_else_are_refused(name: str) -> None:
    """They become paths, role names and log lines."""
    with pytest.raises(InvalidNameError):
        require_participant_name(name)
    with pytest.raises(PqtransferError):
        generate_identity(name, suite_id="PQT-1")


def replace_in_public(**changes: object) -> bytes:
    document = json.loads(make_identity("bob").to_public().to_json())
    return write_canonical_json(document | changes)


EVE = json.loads(make_identity("eve").to_public().to_json())
BOB_2 = json.loads(make_identity("bob", "PQT-2").to_public().to_json())


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (replace_in_public(participant="eve"), InvalidProofError),
        (replace_in_public(kem=EVE["kem"]), InvalidProofError),
        (replace_in_public(signing=EVE["signing"]), InvalidProofError),
        (replace_in_public(proof=EVE["proof"]), InvalidProofError),
        (replace_in_public(signing=EVE["signing"], proof=EVE["proof"]), InvalidProofError),
        (replace_in_public(proof=""), InvalidProofError),
        (replace_in_public(signing=BOB_2["signing"]), MalformedDocumentError),
        (replace_in_public(kem=EVE["signing"]), MalformedDocumentError),
        (replace_in_public(participant="../bob"), MalformedDocumentError),
        (replace_in_public(format="pqtransfer-identity/2"), MalformedDocumentError),
        (replace_in_public(admin=True), MalformedDocumentError),
        (replace_in_public(kem=None), MalformedDocumentError),
    ],
)
def test_an_identity_put_together_from_parts_is_refused(document: bytes, error: type[PqtransferError]) -> None:
    """Mallory cannot put her KEM key under Bob's name, nor take Bob's signing key for hers."""
    with pytest.raises(error):
        PublicIdentity.from_json(document)


def test_a_private_identity_holds_one_key_of_each_kind_and_one_suite() -> None:
    bob, bob_2 = make_identity("bob"), make_identity("bob", "PQT-2")
    for kem, signing in ((bob.signing, bob.kem), (bob.kem, bob.kem), (bob.kem, bob_2.signing)):
        with pytest.raises(MalformedDocumentError):
            PrivateIdentity("bob", kem=kem, signing=signing)


@pytest.mark.parametrize(
    "change", [{"format": "x"}, {"kem": 1}, {"kem": "{}"}, {"extra": "1"}, {"signing": ""}, {"participant": "A"}]
)
def test_a_private_identity_that_is_not_one(change: dict[str, object]) -> None:
    document = json.loads(make_identity("bob").to_json().reveal())
    with pytest.raises(PqtransferError):
        PrivateIdentity.from_json(SecretBytes(write_canonical_json(document | change)))
