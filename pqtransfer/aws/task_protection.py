"""ECS task scale-in protection, through the agent's endpoint inside the task.

Outside ECS there is no agent and nothing to protect from: the environment variable ECS_AGENT_URI is absent.
"""

import json
import urllib.request
from http.client import HTTPException

from pqtransfer.errors import UnavailableError

AGENT_TIMEOUT_SECONDS = 5
PROTECTION_MINUTES = 60


class TaskProtectionError(UnavailableError):
    """The ECS agent did not set the protection."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"could not set task scale-in protection: {reason}; check the task role and the ECS agent")


class TaskProtection:
    """Protects this task from scale-in while it works. The protection expires by itself if the task forgets it."""

    def __init__(self, agent_uri: str | None) -> None:
        if agent_uri is not None and not agent_uri.startswith(("http://", "https://")):
            raise TaskProtectionError(f"ECS_AGENT_URI {agent_uri!r} is not an HTTP address")
        self._agent_uri = agent_uri

    def hold(self) -> None:
        """Protect the task, or prolong its protection, for the next hour.

        Raises:
            TaskProtectionError: the agent refuses or does not answer.
        """
        self._put({"ProtectionEnabled": True, "ExpiresInMinutes": PROTECTION_MINUTES})

    def drop(self) -> None:
        """Let the service scale this task in.

        Raises:
            TaskProtectionError: the agent refuses or does not answer.
        """
        self._put({"ProtectionEnabled": False})

    def _put(self, state: dict[str, object]) -> None:
        if self._agent_uri is None:
            return
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked in __init__
            f"{self._agent_uri}/task-protection/v1/state",
            data=json.dumps(state).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=AGENT_TIMEOUT_SECONDS) as answer:  # noqa: S310
                body = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise TaskProtectionError(str(error)) from None
        if not isinstance(body, dict) or "protection" not in body:
            said = (body.get("failure") or body.get("error")) if isinstance(body, dict) else None
            raise TaskProtectionError(str(said or body)[:300])
