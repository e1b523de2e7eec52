"""What is held while a transfer runs is prolonged in time, and the job is ended when the worker has to stop."""

import pytest

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.transfers.ledger import Progress
from tests.unit.transfer_worker.conftest import LEASE_SECONDS, STOP_TIMEOUT_SECONDS, Fleet
from transfer_worker.hold import PROTECTION_SECONDS, Hold, ShutdownError
from transfer_worker.shutdown import SHARE_FOR_FINISHING, Shutdown


@pytest.fixture
def hold(fleet: Fleet) -> Hold:
    return Hold(
        fleet.receive(),
        queue=fleet.queue,  # type: ignore[arg-type]
        protection=fleet.protection,  # type: ignore[arg-type]
        shutdown=fleet.shutdown,
        visibility_seconds=LEASE_SECONDS,
        monotonic=fleet.clock.monotonic,
    )


def test_a_long_transfer_keeps_its_message_and_its_protection(fleet: Fleet, hold: Hold) -> None:
    """Two hours of beats: nobody else could ever receive the message, protection never runs out, neither is asked for
    at every beat."""
    unprotected_for = longest_unprotected = 0
    for _ in range(7200):
        fleet.clock.advance(1)
        asked = len(fleet.protection.calls)
        hold.prolong(Progress())
        assert fleet.queue.seconds_until_visible[0] >= LEASE_SECONDS / 2
        unprotected_for = 0 if len(fleet.protection.calls) > asked else unprotected_for + 1
        longest_unprotected = max(longest_unprotected, unprotected_for)
    assert longest_unprotected < 3600 / 2  # protection lasts an hour
    assert len(fleet.queue.held) == 7200 // (LEASE_SECONDS // 3)
    assert len(fleet.protection.calls) == 7200 // PROTECTION_SECONDS


def test_what_could_not_be_prolonged_is_tried_at_the_next_beat(fleet: Fleet, hold: Hold) -> None:
    """An unreachable queue does not move the due time."""
    fleet.clock.advance(LEASE_SECONDS / 3)
    fleet.queue.outage = CloudUnavailableError("no answer", aws_code="503")
    with pytest.raises(CloudUnavailableError):
        hold.prolong(Progress())
    fleet.queue.outage = None
    hold.prolong(Progress())
    assert fleet.queue.held == [LEASE_SECONDS]


ALLOWED = STOP_TIMEOUT_SECONDS * SHARE_FOR_FINISHING


@pytest.mark.parametrize(
    ("seconds_left", "waited", "goes_on"),
    [
        (0.0, 0, True),
        (ALLOWED, 0, True),
        (ALLOWED + 1, 0, False),
        (ALLOWED / 2, ALLOWED / 2, True),
        (ALLOWED / 2 + 1, ALLOWED / 2, False),
        (1.0, ALLOWED, False),
        (None, 0, False),  # nobody knows how long it takes
    ],
)
def test_shutdown_lets_only_what_ends_in_time_go_on(
    fleet: Fleet, hold: Hold, seconds_left: float | None, waited: float, goes_on: bool
) -> None:
    """The rest of the stop timeout is for the checkpoint."""
    fleet.shutdown.request()
    fleet.clock.advance(waited)
    if goes_on:
        hold.prolong(Progress(seconds_left=seconds_left))
    else:
        with pytest.raises(ShutdownError, match="goes on elsewhere"):
            hold.prolong(Progress(seconds_left=seconds_left))


def test_asking_for_the_stop_again_does_not_prolong_it(fleet: Fleet) -> None:
    """ECS, and a person with Ctrl-C, may both ask."""
    shutdown = Shutdown(stop_timeout_seconds=10, monotonic=fleet.clock.monotonic)
    assert shutdown.leaves_time_for(1e9)
    shutdown.request()
    fleet.clock.advance(5)
    shutdown.request()
    assert not shutdown.leaves_time_for(2)
    assert shutdown.wait(0)
