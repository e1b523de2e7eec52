"""Where an event came from decides what it may claim; its producer's name is no more than the producer's word.

The system and the sites send to two queues, and the cloud says who may send to which. So the queue that a message came
from is known for certain, and what is in it must fit: a site cannot speak in the name of a function, nor the other way.
"""

from enum import StrEnum

SITE_SERVICES = frozenset({"client", "deploy", "offline"})
"""Services that run where people and sites work: the first part of their producers' names."""
KEEPER_SERVICE = "archive-audit-log"
"""The one that deletes from the log, under its rules; nobody else's word about that counts."""
SYSTEM_FAMILIES = frozenset(
    {"alert", "audit", "credentials", "fleet", "incident", "key", "participant", "recovery", "report"}
)
"""First parts of the actions that only functions do."""
SITE_ACTIONS = frozenset({"key.use"})
"""Of these families, what sites do too."""


class Origin(StrEnum):
    """The queue that a message came from."""

    SYSTEM = "system"
    SITES = "sites"


def find_misfit(producer: str, action: str, origin: Origin) -> str | None:
    """Why an event of this producer, about this action, cannot have come from there; None when it can."""
    is_of_site = name_service(producer) in SITE_SERVICES
    if is_of_site != (origin is Origin.SITES):
        return f"it came from the queue of the {origin}, where no producer {producer} is"
    if is_of_site and action.partition(".")[0] in SYSTEM_FAMILIES and action not in SITE_ACTIONS:
        return f"it came from the queue of the {origin}, and {action} is what only the system does"
    return None


def name_service(producer: str) -> str:
    """The service of a producer: `client` of `client/0198c0de`."""
    return producer.partition("/")[0]
