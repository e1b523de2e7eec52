"""The AWS config file of an embedded cloud: one profile for each role, so that no process ever holds more than its own.

`admin` owns the cloud and deploys to it. Every other profile takes its role by sts:AssumeRole: `worker`, `submitter`,
`recipient`, `operator`, `custodian`, and `participant-NAME`.
"""

import configparser
from dataclasses import dataclass
from pathlib import Path

from scripts.embedded_cloud.server import REGION

ADMIN_PROFILE = "admin"


@dataclass(frozen=True)
class ProfileFiles:
    """`config` and `credentials` in one folder. The credentials are readable by their owner alone."""

    folder: Path
    endpoint_url: str

    @property
    def config(self) -> Path:
        """The file for AWS_CONFIG_FILE."""
        return self.folder / "config"

    @property
    def credentials(self) -> Path:
        """The file for AWS_SHARED_CREDENTIALS_FILE."""
        return self.folder / "credentials"

    def write_admin(self, *, access_key_id: str, secret_access_key: str) -> None:
        """Start both files anew, with the profile `admin` alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = configparser.ConfigParser()
        keys[ADMIN_PROFILE] = {"aws_access_key_id": access_key_id, "aws_secret_access_key": secret_access_key}
        self.credentials.touch(mode=0o600)
        with self.credentials.open("w", encoding="utf-8") as file:
            keys.write(file)
        self.config.write_text("", encoding="utf-8")
        self._add(ADMIN_PROFILE, {})

    def add_role(self, profile: str, role_arn: str) -> None:
        """Add, or replace, a profile that takes a role."""
        self._add(profile, {"role_arn": role_arn, "source_profile": ADMIN_PROFILE, "role_session_name": profile[:64]})

    def _add(self, profile: str, values: dict[str, str]) -> None:
        config = configparser.ConfigParser()
        config.read(self.config, encoding="utf-8")
        config[f"profile {profile}"] = {"region": REGION, "endpoint_url": self.endpoint_url, **values}
        with self.config.open("w", encoding="utf-8") as file:
            config.write(file)
