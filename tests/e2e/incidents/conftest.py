"""The stage of the tests of lost keys: participants of each test's own in the deployed cloud."""

from collections.abc import Callable

import pytest

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.incidents.site import Sites


@pytest.fixture(scope="session")
def sites(
    cloud: EmbeddedCloud,
    deployment: Deployment,
    act_as: Callable[[str | None], CloudSession],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sites:
    """Registers participants, sends models in their names, and looks behind it."""
    return Sites(cloud, deployment, act_as, tmp_path_factory.mktemp("incidents"))
