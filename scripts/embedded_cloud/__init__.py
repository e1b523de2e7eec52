"""The embedded cloud: an AWS on loopback, for the demo, for tests, and for working on the code."""

from scripts.embedded_cloud.cloud import EmbeddedCloud
from scripts.embedded_cloud.server import CloudStartError

__all__ = ["CloudStartError", "EmbeddedCloud"]
