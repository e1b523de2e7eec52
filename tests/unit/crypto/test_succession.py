"""The keys in use name the ones that follow them, and nobody else can."""

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.identity import InvalidProofError, generate_identity
from pqtransfer.crypto.succession import NotASuccessorError, Succession, sign_succession

OLD, NEW, OTHER = (generate_identity("site-a", suite_id="PQT-1") for _ in range(3))


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_what_is_signed_is_read_back(suite_id: str) -> None:
    """Also towards a stronger suite."""
    new = generate_identity("site-a", suite_id=suite_id).to_public()
    succession = Succession.from_json(sign_succession(OLD, new).to_json())
    succession.require_signer(OLD.signing.public_key)
    assert succession.identity == new


def test_nobody_else_signs_it() -> None:
    """Not the new key itself, not a third one under the old one's id; and no signature is good for other keys."""
    succession = sign_succession(OLD, NEW.to_public())
    with pytest.raises(InvalidProofError):
        succession.require_signer(NEW.signing.public_key)
    forged = sign_succession(OTHER, NEW.to_public())
    named = {"replaces_signing": OLD.signing.public_key.key_id, "replaces_kem": OLD.kem.public_key.key_id}
    for change in (
        forged.model_copy(update=named),
        succession.model_copy(update={"identity": OTHER.to_public()}),
        succession.model_copy(update={"replaces_kem": "0" * 64}),
        succession.model_copy(update={"signature": bytes(3309)}),
    ):
        with pytest.raises(InvalidProofError):
            change.require_signer(OLD.signing.public_key)


def test_of_another_name() -> None:
    """Keys follow keys of the same participant."""
    with pytest.raises(NotASuccessorError):
        sign_succession(OLD, generate_identity("site-b", suite_id="PQT-1").to_public())


def test_what_is_no_succession() -> None:
    """Another spelling, or an identity whose own proof does not hold."""
    data = sign_succession(OLD, NEW.to_public()).to_json()
    for wrong in (b"", b"{}", data + b" ", data.replace(b"succession/1", b"succession/2")):
        with pytest.raises(MalformedDocumentError):
            Succession.from_json(wrong)
    stolen = NEW.to_public().model_copy(update={"proof": OTHER.to_public().proof})
    with pytest.raises(InvalidProofError):
        Succession.from_json(sign_succession(OLD, stolen).to_json())
