"""The worker's container image: built from its Dockerfile, or one that is named where nothing can be built."""

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.environments import EnvironmentConfig
from infra.function_packages import ROOT

# Everything stays out of the build but this.
IMAGE_FILES = ["README.md", "pyproject.toml", "pqtransfer", "transfer_worker"]


def make_worker_image(
    scope: Construct, environment: EnvironmentConfig
) -> tuple[ecs.ContainerImage, ecr_assets.DockerImageAsset | None]:
    """The image, and the asset behind it when it is built here."""
    if environment.worker_image is not None:
        return ecs.ContainerImage.from_registry(environment.worker_image), None
    asset = ecr_assets.DockerImageAsset(
        scope,
        "Image",
        directory=str(ROOT),
        file="transfer_worker/Dockerfile",
        platform=ecr_assets.Platform.LINUX_AMD64,
        ignore_mode=IgnoreMode.DOCKER,
        exclude=["**", *(f"!{name}" for name in IMAGE_FILES), "**/__pycache__"],
    )
    return ecs.ContainerImage.from_docker_image_asset(asset), asset
