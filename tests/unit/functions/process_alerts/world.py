"""Alert processing in memory, with a clock of its own."""

from datetime import datetime, timedelta

from functions.process_alerts.delivering import Deliverer
from functions.process_alerts.recovering import Recoveries
from functions.process_alerts.service import SERVICE, AlertService
from pqtransfer.recording.alerts import AlertFacts
from tests.fakes.alert_stores import InMemoryAlertStore, RecordingRecoverer, RecordingSender, StillWatch
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.trails import InMemoryAuditTrail
from tests.unit.operations.alert_samples import NOW, ROUTES


class World:
    """What outlives a run of the function. `service()` is a run."""

    def __init__(self) -> None:
        self.store = InMemoryAlertStore()
        self.trail = InMemoryAuditTrail()
        self.sender = RecordingSender()
        self.alerts = InMemoryAlerts()
        self.recoverer = RecordingRecoverer()
        self.watch = StillWatch()
        self.at = NOW
        self._runs = 0

    def service(self) -> AlertService:
        self._runs += 1
        facts = AlertFacts(SERVICE)
        return AlertService(
            store=self.store,
            trail=self.trail,
            routes=ROUTES,
            deliverer=Deliverer(
                store=self.store,
                sender=self.sender,
                trail=self.trail,
                alerts=self.alerts,
                facts=facts,
                run_id=f"run-{self._runs}",
            ),
            recoveries=Recoveries(store=self.store, recoverer=self.recoverer, trail=self.trail, facts=facts),
            watch=self.watch,
            now=self.read_clock,
            has_time=lambda: True,
        )

    def read_clock(self) -> datetime:
        """Time passes whenever somebody looks."""
        self.at += timedelta(milliseconds=1)
        return self.at

    def run_until(self, at: datetime) -> None:
        """The clock, every minute until then."""
        while self.at < at:
            self.at += timedelta(minutes=1)
            self.service().tick()
