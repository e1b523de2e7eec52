"""Nothing that holds a secret shows it: printed, copied, pickled, logged, or in a traceback. By known secrets."""

import base64
import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.traceback import Traceback

from pqtransfer.crypto.envelope import DamagedEnvelopeError, generate_data_key, open_envelope, seal_envelope
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.manifest import SignedManifest
from pqtransfer.crypto.payload import create_payload_cipher
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.keys.holder import LocalKeyHolder
from pqtransfer.sdk.in_memory import MemorySealer
from pqtransfer.transfers.container import read_envelope
from pqtransfer.transfers.decrypting import DecryptionOrder
from tests.canaries import Canaries, join, require_absent, spell
from tests.containers import TRANSFER_ID, make_container, make_identity
from tests.fakes.folders import InMemoryFolder

SUITES = ("PQT-1", "PQT-2")
DATA_KEY = SecretBytes(bytes(range(100, 132)))


@pytest.fixture(params=SUITES)
def identity(request: pytest.FixtureRequest) -> PrivateIdentity:
    return make_identity("bob", request.param)


@pytest.fixture
def canaries(identity: PrivateIdentity) -> Canaries:
    made = Canaries()
    made.add_key("kem", identity.kem)
    made.add_key("signing", identity.signing)
    made.add_data_key("data key", DATA_KEY)
    return made


def holders(identity: PrivateIdentity) -> list[Any]:
    """One of everything that holds a secret."""
    cipher = create_payload_cipher(DATA_KEY, suite_id=identity.kem.suite_id, transfer_id=TRANSFER_ID, sender="alice")
    sealer = MemorySealer()
    sealer.seal(DATA_KEY, transfer_id=TRANSFER_ID)
    manifest = make_container(b"x").manifest_json
    order = DecryptionOrder(
        job_id="job",
        manifest=manifest,
        data_key=DATA_KEY,
        destination_name="out",  # type: ignore[arg-type]
    )
    return [
        identity, identity.kem, identity.signing, identity.to_json(), identity.kem.to_json(), DATA_KEY, cipher, sealer,
        LocalKeyHolder(identity), order, {"key": identity.kem, "list": [DATA_KEY, identity]},
    ]  # fmt: skip


@pytest.mark.requirement("N8")
def test_nothing_that_holds_a_secret_prints_it(identity: PrivateIdentity, canaries: Canaries) -> None:
    """repr, str, format, %-format, a log line with an exception, and what a debugger lists of an object."""
    written = io.StringIO()
    logger = logging.getLogger("canaries")
    handler = logging.StreamHandler(written)
    logger.addHandler(handler)
    shown: list[str] = []
    try:
        for each in holders(identity):
            fields = vars(each) if hasattr(each, "__dict__") else {}
            shown += [repr(each), str(each), f"{each}", "%r %s" % (each, each), repr(fields), repr(dir(each))]  # noqa: UP031
            try:
                raise ValueError(each)
            except ValueError:
                logger.exception("a fault with %r", each)
    finally:
        logger.removeHandler(handler)
    require_absent(canaries, {"texts": join(shown), "log": written.getvalue().encode()})


@pytest.mark.requirement("N8")
@pytest.mark.parametrize("copied_by", [pickle.dumps, copy.deepcopy, lambda each: json.dumps(each, default=vars)])
def test_nothing_that_holds_a_secret_is_serialised_with_it(
    identity: PrivateIdentity, canaries: Canaries, copied_by: Callable[[Any], Any]
) -> None:
    """It is refused, or what comes out does not hold it."""
    outputs: list[str | bytes] = ["looked"]
    for each in holders(identity):
        try:
            made = copied_by(each)
        except (TypeError, ValueError, AttributeError):
            continue
        outputs.append(made if isinstance(made, bytes) else repr(made))
    require_absent(canaries, {"copies": join(outputs)})


@pytest.mark.requirement("N8")
def test_a_traceback_that_shows_every_local_shows_no_secret(identity: PrivateIdentity, canaries: Canaries) -> None:
    """As debuggers, crash reporters and rich's tracebacks print them: the repr of each local of each frame."""
    folder = InMemoryFolder()
    container = make_container(b"model", suite_id=identity.kem.suite_id, recipients=("bob",))
    container_of_another = make_container(b"other", suite_id=identity.kem.suite_id, recipients=("bob",))
    folder.put("envelope.json", container_of_another.envelope_json)
    envelope = read_envelope(folder).envelope
    manifest = SignedManifest.from_json(container.manifest_json)
    with pytest.raises(DamagedEnvelopeError) as raised:
        open_envelope(envelope, manifest.body, [identity.kem])
    caught = raised.value
    shown = io.StringIO()
    trace = Traceback.from_exception(
        type(caught), caught, caught.__traceback__, show_locals=True, locals_max_string=None
    )
    Console(file=shown, width=200).print(trace)
    summary = traceback.TracebackException.from_exception(caught, capture_locals=True)
    require_absent(canaries, {"rich": shown.getvalue().encode(), "traceback": join(summary.format())})
    assert "PrivateKey(kem" in shown.getvalue()


def test_the_search_finds_each_secret(identity: PrivateIdentity, canaries: Canaries) -> None:
    """What the tests above look for is found where it is: in the documents that keys are stored as."""
    stored = {"document": identity.kem.to_json().reveal(), "file": identity.to_json().reveal()}
    found = canaries.find(stored)
    assert any(line.startswith("document: kem: seed") for line in found)
    assert any("signing: seed" in line for line in found)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=7), st.binary(max_size=7))
def test_every_spelling_is_found_between_any_neighbours(secret: bytes, before: bytes, after: bytes) -> None:
    """Base64 of something larger, at each of its three alignments, among others."""
    canaries = Canaries()
    canaries.add("secret", secret)
    whole = before + secret + after
    for data in (whole, whole.hex().encode(), base64.b64encode(whole), base64.urlsafe_b64encode(whole),
                 repr(list(whole)).encode(), json.dumps(list(whole), separators=(",", ":")).encode()):  # fmt: skip
        assert canaries.find({"place": data}), data
    assert set(spell(secret)) >= {"raw", "hex", "base64 at 0", "base64 at 1", "base64 at 2"}


@given(st.data())
def test_the_search_answers_as_one_that_looks_for_each_form_alone(data: st.DataObject) -> None:
    """Forms that begin alike, overlap, hold each other, or end with a place: none is missed, and none is made up."""
    letters = st.sampled_from([b"a", b"b", b"\x00", b"\xff"])
    form = st.lists(letters, min_size=1, max_size=6).map(b"".join)
    forms = data.draw(st.lists(form, min_size=1, max_size=30, unique=True))
    piece = st.one_of(letters, st.sampled_from(forms))
    texts = data.draw(st.lists(st.lists(piece, max_size=12).map(b"".join), max_size=4))
    canaries = Canaries({each: f"form {number}" for number, each in enumerate(forms)})
    places = {f"place {number}": text for number, text in enumerate(texts)}
    assert canaries.find(places) == [
        f"{place}: {what}" for place, text in places.items() for each, what in canaries.forms.items() if each in text
    ]


def test_a_new_data_key_is_sealed_and_gone(canaries: Canaries, identity: PrivateIdentity) -> None:
    """An envelope holds no data key that one could read."""
    data_key = generate_data_key()
    canaries.add_data_key("a new data key", data_key)
    envelope = seal_envelope(
        data_key,
        suite_id=identity.kem.suite_id,
        transfer_id=TRANSFER_ID,
        floe_header=bytes(100),
        recipients=[identity.kem.public_key],
        signer="bob",
        signing_key=identity.signing,
    )
    require_absent(canaries, {"envelope": envelope.to_json(), "repr": repr(envelope).encode()})
