"""How patient the local fleet is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """How often the supervisor looks, and its patience, in seconds."""

    poll: float = 0.3
    health_interval: float = 5.0
    health_timeout: float = 5.0
    unhealthy_after_checks: int = 6
    health_grace: float = 60.0
    stop_timeout: float | None = None
    """Between SIGTERM and SIGKILL; None: as the task definition says."""
    metrics_period: float = 60.0
