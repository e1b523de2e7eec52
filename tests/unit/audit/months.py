"""A month of a federation of hospitals, as its audit log has it, the same at every run: one actor stands out."""

import hashlib
import random
from datetime import UTC, datetime

from pqtransfer.audit.events import AuditEvent, EventKind, Severity, Target

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
DAYS = 31
SITES = ("hospital-a", "hospital-b", "hospital-c", "clinic-nord", "research-lab")
BUSY_ACTOR, BUSY_DAY = "clinic-nord", 17


def make_month(*, seed: int = 7) -> list[AuditEvent]:
    """Some 1,400 events: rounds of training, rotations of keys, decisions, one incident."""
    return _Month(seed).make()


def name_key(site: str, version: int) -> str:
    return hashlib.sha256(f"{site} {version}".encode()).hexdigest()


class _Month:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._events = list[AuditEvent]()
        self._version = dict.fromkeys(SITES, 1)

    def make(self) -> list[AuditEvent]:
        for day in range(DAYS):
            for site in SITES:
                self._make_day(site, day)
            if day % 7 == 2:
                self._rotate(SITES[day // 7 % len(SITES)], day)
        self._make_incident()
        ordered = sorted(self._events, key=lambda event: event.time_ms)
        return [
            event.model_copy(update={"sequence": number, "event_id": f"0198c0de-0000-7000-8000-{number:012x}"})
            for number, event in enumerate(ordered, start=1)
        ]

    def _make_day(self, site: str, day: int) -> None:
        rounds = self._random.randint(1, 3) + (22 if (site, day) == (BUSY_ACTOR, BUSY_DAY) else 0)
        for number in range(rounds):
            minute = self._random.randint(7 * 60, 19 * 60)
            others = self._random.sample([other for other in SITES if other != site], 2)
            transfer = f"0195{day:02x}{number:02x}-0000-7000-8000-{SITES.index(site):012x}"
            common = {"correlation_id": f"round-{day}-{site}-{number}", "key_id": name_key(site, self._version[site])}
            digest = hashlib.sha256(transfer.encode()).hexdigest()
            size = self._random.randint(15_000_000_000, 20_000_000_000)
            target = Target(type="transfer", id=transfer)
            self._add(EventKind.CRYPTOGRAPHY, "model.encrypt", site, day, minute, target, suite="PQT-1", **common)
            self._add(EventKind.CRYPTOGRAPHY, "envelope.wrap", site, day, minute, target, suite="PQT-1", **common)
            self._add(
                EventKind.TRANSFER, "transfer.send", site, day, minute + 4, target, suite="PQT-1", size_bytes=size,
                sha256=digest, details={"recipients": " ".join(others)}, **common,
            )  # fmt: skip
            allowed = self._random.random() > 0.06
            self._add(
                EventKind.ACCESS, "envelope.open", others[0], day, minute + 6, target, succeeded=allowed,
                reason=None if allowed else "no envelope for this participant", correlation_id=common["correlation_id"],
            )  # fmt: skip

    def _rotate(self, site: str, day: int) -> None:
        old, new = name_key(site, self._version[site]), name_key(site, self._version[site] + 1)
        self._version[site] += 1
        for minute, (action, key_id) in enumerate(
            [("key.create", new), ("key.backup", new), ("key.activate", new), ("key.retire", old)]
        ):
            self._add(
                EventKind.KEY, action, "rotate-keys", day, 180 + minute, Target(type="key", id=key_id), key_id=key_id,
                suite="PQT-2" if site == "research-lab" else "PQT-1", details={"participant": site},
            )  # fmt: skip
        self._add(EventKind.CONFIGURATION, "policy.update", "admin", day, 200, Target(type="policy", id="rotation"))

    def _make_incident(self) -> None:
        key_id = name_key(BUSY_ACTOR, 1)
        target = Target(type="participant", id=BUSY_ACTOR)
        self._add(
            EventKind.SECURITY, "access.unusual", "threat-detection", BUSY_DAY, 1200, target, severity=Severity.HIGH,
            reason="22 transfers more than usual", details={"score": "9.1"},
        )  # fmt: skip
        self._add(
            EventKind.KEY, "key.revoke", "admin", BUSY_DAY, 1215, Target(type="key", id=key_id), key_id=key_id,
            suite="PQT-1", severity=Severity.CRITICAL, reason="reported as compromised",
        )  # fmt: skip

    def _add(
        self, kind: EventKind, action: str, actor: str, day: int, minute: int, target: Target, **more: object
    ) -> None:
        fields: dict[str, object] = {
            "kind": kind,
            "action": action,
            "actor": actor,
            "target": target,
            "succeeded": True,
            "correlation_id": f"{action}-{day}",
            "producer": "worker/a",
            "sequence": 1,
            "event_id": "0198c0de-0000-7000-8000-000000000001",
            "time_ms": int(BEGIN.timestamp() * 1000) + (day * 1440 + minute) * 60_000 + self._random.randint(0, 59_999),
            "source_address": f"192.0.2.{10 + len(actor)}",
        }
        self._events.append(AuditEvent.model_validate(fields | more))
