"""What came from a queue may claim what fits there: sites are sites, and the system's own actions are the system's."""

import re

import pytest

from pqtransfer.audit.origins import Origin, find_misfit
from tests.unit.docs.test_audit_events import PAGE

ROW = re.compile(r"^\| `([^`]+)` \| \w+ \| .+ \| (.+) \|$", re.MULTILINE)
SITES = ("client", "scripts/deploy")


@pytest.mark.requirement("D7.3", "D7.5", "S4.7")
@pytest.mark.parametrize(
    ("producer", "action", "origin", "fits"),
    [
        ("client/1", "envelope.open", Origin.SITES, True),
        ("client/1", "key.use", Origin.SITES, True),
        ("offline/1", "manifest.sign", Origin.SITES, True),
        ("deploy/1", "configuration.update", Origin.SITES, True),
        ("archive-audit-log/1", "audit.purge", Origin.SYSTEM, True),
        ("transfer-worker/1", "envelope.wrap", Origin.SYSTEM, True),
        # A site in the name of the system
        ("archive-audit-log/1", "audit.purge", Origin.SITES, False),
        ("rotate-keys/1", "key.revoke", Origin.SITES, False),
        ("transfer-worker/1", "envelope.wrap", Origin.SITES, False),
        ("clients/1", "envelope.open", Origin.SITES, False),
        ("client.x/1", "envelope.open", Origin.SITES, False),
        # A site about what only the system does
        ("client/1", "audit.purge", Origin.SITES, False),
        ("client/1", "audit.tamper.detect", Origin.SITES, False),
        ("client/1", "key.destroy", Origin.SITES, False),
        ("client/1", "incident.close", Origin.SITES, False),
        ("client", "key.revoke", Origin.SITES, False),
        # The system in the name of a site
        ("client/1", "envelope.open", Origin.SYSTEM, False),
        ("deploy/1", "configuration.update", Origin.SYSTEM, False),
    ],
)
def test_an_event_must_fit_the_queue_it_came_from(producer: str, action: str, origin: Origin, fits: bool) -> None:
    """What does not is refused with the reason."""
    assert (find_misfit(producer, action, origin) is None) == fits


def test_sites_may_record_what_the_table_of_events_says_of_them() -> None:
    """Each action that a client or a deployment records, and `violation.detect`, which all do."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) > 40
    theirs = {action for action, by in rows if by == "all" or any(each in by for each in SITES)}
    assert {action for action in theirs if find_misfit("client/1", action, Origin.SITES)} == set()
    others = {action for action, by in rows if re.fullmatch(r"(`[a-z_]+`(, )?)+", by)}
    assert {action for action in others if action.startswith(("audit.", "key."))} >= {"audit.purge", "key.revoke"}
    assert all(find_misfit("client/1", each, Origin.SITES) for each in others if each.startswith(("audit.", "key.")))
