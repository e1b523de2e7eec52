"""Workers that die, are stopped, or freeze in the middle of a transfer: another one finishes what they began."""

import random
import signal

import pytest

from pqtransfer.transfers.ledger import TransferState
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import EXTERNAL, MANAGED, PART_BYTES, Model, Stage, wait_for
from tests.e2e.workers import StartWorker

pytestmark = pytest.mark.e2e

TWO_IN_FLIGHT = {"buffer_budget_bytes": 2 * 2 * PART_BYTES}
ONE_IN_FLIGHT = {"buffer_budget_bytes": 2 * PART_BYTES}
ENVELOPES_BYTES = 1 << 20
"""What goes over the link beside the parts, at most: requests' heads and the two documents."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_kill_9_another_worker_finishes(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink, seed: int
) -> None:
    """Wherever the first was killed: parts on record are not sent again, at most those in flight are, nothing is left.

    The moment is a byte of the upload; the seed chooses it.
    """
    link = make_link()
    link.stop_after(random.Random(seed).randrange(model.size_bytes))
    first = start_worker(data_endpoint_url=link.url, **TWO_IN_FLIGHT)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    first.kill()
    done_by_first = stage.recorded_parts(transfer_id)
    sent_by_first = link.sent_bytes
    assert stage.status(transfer_id).state is TransferState.RUNNING
    link.go_on()

    start_worker(data_endpoint_url=link.url, **TWO_IN_FLIGHT)
    record = stage.wait_for_completion(transfer_id)
    assert record.attempt == 2
    digests = stage.manifest(transfer_id).body.part_sha256
    for index, part in done_by_first.items():
        assert digests[index] == part.sha256, f"part {index} was on record, and was sent again"
    parts_bytes = sum(part.size_bytes for part in done_by_first.values())
    sent_twice = link.sent_bytes - model.size_bytes
    assert sent_by_first - parts_bytes <= 2 * PART_BYTES + ENVELOPES_BYTES
    assert sent_twice <= 2 * PART_BYTES + ENVELOPES_BYTES
    _assert_nothing_is_left(stage, transfer_id)
    assert stage.receive_sha256(transfer_id) == model.sha256


def test_sigterm_gives_the_transfer_back_in_time(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """A worker that cannot finish in time ends by itself; the message is there at once, and no lease has to expire."""
    link = make_link()
    link.stop_after(PART_BYTES + PART_BYTES // 2)
    first = start_worker(data_endpoint_url=link.url, stop_timeout_seconds=10, lease_seconds=60, **ONE_IN_FLIGHT)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    stage.wait_for_parts(transfer_id, 1)
    link.pace(bytes_per_second=4e6)  # four seconds for what is in flight, half a minute for all of it
    first.terminate()
    link.go_on()
    wait_for("a worker that takes no more", lambda: first.read_health().get("ready") is False or None)
    assert wait_for("the end of the worker", lambda: first.exit_code if not first.is_running else None) == 0
    kept = stage.recorded_parts(transfer_id)
    assert 1 <= len(kept) < model.part_count
    assert stage.queue_length() == (1, 0)
    released = stage.status(transfer_id)
    assert released.state is TransferState.RUNNING
    assert released.last_error is None

    start_worker(lease_seconds=60)
    record = stage.wait_for_completion(transfer_id)
    assert record.attempt == 2
    digests = stage.manifest(transfer_id).body.part_sha256
    assert {index: part.sha256 for index, part in kept.items()} == {index: digests[index] for index in kept}
    assert link.sent_bytes <= sum(part.size_bytes for part in kept.values()) + ENVELOPES_BYTES
    _assert_nothing_is_left(stage, transfer_id)
    assert stage.receive_sha256(transfer_id, reader=MANAGED) == model.sha256


def test_sigterm_lets_a_transfer_finish_that_ends_in_time(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Where the stop timeout leaves room for the rest, the worker finishes, and then stops."""
    link = make_link()
    link.stop_after(model.size_bytes - PART_BYTES // 2)
    worker = start_worker(data_endpoint_url=link.url, stop_timeout_seconds=120, **ONE_IN_FLIGHT)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    worker.terminate()
    link.go_on()
    assert stage.wait_for_completion(transfer_id).attempt == 1
    assert wait_for("the end of the worker", lambda: worker.exit_code if not worker.is_running else None) == 0
    _assert_nothing_is_left(stage, transfer_id)


def test_a_frozen_worker_does_no_harm_when_it_wakes(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Frozen past its lease it is overtaken; awake again, it finds out, changes nothing, and takes the next one."""
    link = make_link()
    frozen = start_worker(data_endpoint_url=link.url, **TWO_IN_FLIGHT)
    link.stop_after(PART_BYTES + PART_BYTES // 2)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    frozen.pause()
    link.go_on()
    other = start_worker()
    record = stage.wait_for_completion(transfer_id)
    assert (record.owner, record.attempt) == (other.name, 2)
    before = stage.objects(transfer_id)

    frozen.resume()
    wait_for("the worker to let go", lambda: _said(frozen, "lets the transfer go", "transfer failed", "will try again"))
    assert stage.objects(transfer_id) == before
    assert stage.status(transfer_id) == record
    assert stage.receive_sha256(transfer_id) == model.sha256
    other.stop()
    following = stage.submit(model)
    assert stage.wait_for_completion(following).owner == frozen.name
    _assert_nothing_is_left(stage, transfer_id)


def test_a_frozen_worker_that_wakes_while_the_other_still_works(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Two workers on one upload at the same time: the older one stops, and what the newer one makes verifies."""
    link = make_link()
    frozen = start_worker(data_endpoint_url=link.url, **TWO_IN_FLIGHT)
    link.stop_after(PART_BYTES + PART_BYTES // 2)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    frozen.pause()
    slow = make_link()
    slow.stop_after(PART_BYTES // 2)
    other = start_worker(data_endpoint_url=slow.url, **ONE_IN_FLIGHT)
    slow.wait_until_stopped()
    link.go_on()
    frozen.resume()
    wait_for("the worker to let go", lambda: _said(frozen, "lets the transfer go"))
    slow.go_on()
    assert stage.wait_for_completion(transfer_id).owner == other.name
    assert stage.receive_sha256(transfer_id, reader=EXTERNAL) == model.sha256
    assert frozen.is_running
    _assert_nothing_is_left(stage, transfer_id)


def test_a_broken_connection_is_borne(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Connections that break in the middle of a part cost a retry, not the transfer."""
    link = make_link()
    link.stop_after(PART_BYTES + PART_BYTES // 2)
    start_worker(data_endpoint_url=link.url)
    transfer_id = stage.submit(model)
    link.wait_until_stopped()
    _break_connections(link)
    record = stage.wait_for_completion(transfer_id)
    assert (record.attempt, record.last_error) == (1, None)
    assert stage.receive_sha256(transfer_id) == model.sha256
    _assert_nothing_is_left(stage, transfer_id)


def test_a_message_that_kills_every_worker_is_given_up(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """After the last receive that is allowed: FAILED with the reason, the message among the dead, the upload gone."""
    link = make_link()
    link.stop_after(PART_BYTES // 2)
    request = stage.request(model)
    victim = start_worker(data_endpoint_url=link.url, max_receives=1)
    stage.submit_request(request)
    link.wait_until_stopped()
    victim.kill()
    link.go_on()
    survivor = start_worker(max_receives=1)
    record = stage.wait_for_end(request.transfer_id)
    assert record.state is TransferState.FAILED
    assert record.failure is not None
    assert record.failure.code == "ReceivedTooOften"
    assert "a dead worker" in record.failure.message
    letter = stage.wait_for_dead_letter(lambda dead: request.transfer_id in dead)
    assert (letter["reason_code"], letter["reason"]) == (record.failure.code, record.failure.message)
    assert survivor.is_running
    assert survivor.exit_code != -signal.SIGKILL
    _assert_nothing_is_left(stage, request.transfer_id)


def _said(worker: object, *messages: str) -> bool | None:
    return True if any(line.get("message") in messages for line in worker.read_log()) else None  # type: ignore[attr-defined]


def _break_connections(link: SlowLink) -> None:
    link.cut()
    link.go_on()


def _assert_nothing_is_left(stage: Stage, transfer_id: str) -> None:
    """No message, and once that is gone no open upload and no checkpoint."""
    stage.wait_for_empty_queue()
    assert (stage.uploads(), stage.has_checkpoint(transfer_id)) == ([], False)
