"""A secret shows itself to `reveal()` and to nothing else."""

import copy
import json
import logging
import pickle
from collections.abc import Callable

import pytest

from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.crypto.secret import SecretBytes
from tests.containers import make_identity

VALUE = b"the secret value"


def test_reveal_gives_the_value() -> None:
    assert SecretBytes(bytearray(VALUE)).reveal() == VALUE
    assert len(SecretBytes(VALUE)) == len(VALUE)


@pytest.mark.requirement("N8")
@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda value: f"{value}"])
def test_no_way_of_printing_shows_it(show: Callable[[object], str]) -> None:
    shown = show(SecretBytes(VALUE))
    assert "secret value" not in shown
    assert VALUE.hex() not in shown


@pytest.mark.requirement("N8")
@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, hash, bytes, vars, iter])
def test_no_way_of_copying_takes_it(leak: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        leak(SecretBytes(VALUE))


@pytest.mark.requirement("N8")
def test_private_keys_and_identities_do_not_show_their_seeds(caplog: pytest.LogCaptureFixture) -> None:
    """Neither `repr`, nor a log line, nor an error about a malformed file holds a seed."""
    identity = make_identity("bob")
    seed = json.loads(identity.kem.to_json().reveal())["seed"]
    logging.getLogger("test").warning("%s %r %s", identity, identity.kem, vars(identity.kem))
    assert seed not in caplog.text
    broken = SecretBytes(identity.kem.to_json().reveal().replace(b'"kem"', b'"kemm"'))
    with pytest.raises(Exception, match="private key") as caught:
        PrivateKey.from_json(broken)
    assert seed not in str(caught.getrepr(chain=True, showlocals=False))


def test_equality_is_by_value() -> None:
    assert SecretBytes(VALUE) == SecretBytes(VALUE)
    assert SecretBytes(VALUE) != SecretBytes(VALUE + b"!")
    assert SecretBytes(VALUE) != VALUE
