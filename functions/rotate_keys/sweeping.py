"""Find what is due, page by page, and hand out one order for each participant and purpose."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from pqtransfer.keys.orders import KeyAction, KeyOrder, KeyOrders
from pqtransfer.keys.rotation import DueStep, KeyCatalogue, KeyPage, KeySummary, RotationPolicy, find_due_step
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity

ASKED_BY = "pqtransfer/rotate_keys"
NAMES_IN_ALERT = 20


@dataclass(frozen=True)
class Sweep:
    """What one search found. `finished` is False when the rest was left to another run."""

    keys: int
    orders: int
    reminded: tuple[str, ...]
    finished: bool


@dataclass(frozen=True)
class KeySweeper:
    """Looks for due keys by its ports; memory: one page of keys."""

    catalogue: KeyCatalogue
    orders: KeyOrders
    alerts: Alerts
    policy: RotationPolicy
    patience: timedelta
    now: datetime

    def sweep(self, *, cursor: str | None, has_time: Callable[[], bool]) -> Sweep:
        """Go through the registry from `cursor` on; when there is no time left, hand the rest over.

        Raises:
            InvalidCursorError: the cursor is none of this registry.
            CloudError: the registry or the queue did not answer; the next run sends the same orders.
        """
        keys, sent, overdue = 0, 0, set[str]()
        while True:
            page = self.catalogue.list_keys(cursor=cursor)
            keys += len(page.keys)
            sent += self.orders.send(self._orders_for(page))
            overdue |= {key.participant for key in page.keys if self._find_step(key) is DueStep.REMIND}
            cursor = page.next_cursor
            if cursor is None or not has_time():
                break
        if cursor is not None:
            self.orders.continue_sweep(cursor)
        if overdue:
            self._remind(sorted(overdue))
        return Sweep(keys=keys, orders=sent, reminded=tuple(sorted(overdue)), finished=cursor is None)

    def _orders_for(self, page: KeyPage) -> Iterator[KeyOrder]:
        settled = set[str]()
        for key in page.keys:
            step = self._find_step(key)
            if step is DueStep.ROTATE:
                yield self._rotate(key)
            elif step not in (None, DueStep.REMIND) and key.participant not in settled:
                settled.add(key.participant)
                yield KeyOrder(
                    action=KeyAction.SETTLE,
                    participant=key.participant,
                    asked_by=ASKED_BY,
                    correlation_id=f"keys-{uuid4()}",
                )

    def _rotate(self, key: KeySummary) -> KeyOrder:
        named = {"unfinished": key.key_id} if key.activated_at is None else {"replaces": key.key_id}
        return KeyOrder(
            action=KeyAction.ROTATE,
            participant=key.participant,
            purpose=key.purpose,
            asked_by=ASKED_BY,
            correlation_id=f"keys-{uuid4()}",
            **named,
        )

    def _remind(self, names: list[str]) -> None:
        shown = ", ".join(names[:NAMES_IN_ALERT]) + (" ..." if len(names) > NAMES_IN_ALERT else "")
        self.alerts.raise_alert(
            Alert(
                code="external-keys-due",
                key="external-keys-due",
                severity=AlertSeverity.WARNING,
                summary=f"{len(names)} participants that keep their own keys should rotate them: {shown}"[:1024],
                remedy="Ask them to rotate: docs/runbooks/external-keys-due.md",
                raised_at=self.now,
                correlation_id=f"keys-{uuid4()}",
            )
        )

    def _find_step(self, key: KeySummary) -> DueStep | None:
        return find_due_step(key, policy=self.policy, patience=self.patience, now=self.now)
