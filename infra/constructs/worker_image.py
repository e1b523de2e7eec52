"""The worker's container image: built from its Dockerfile, or one that is named where nothing can be built."""

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.environments import EnvironmentConfig
from infra.function_packages import ROOT


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
        # What stays out is in .dockerignore, for whoever builds it by hand too.
        ignore_mode=IgnoreMode.DOCKER,
    )
    return ecs.ContainerImage.from_docker_image_asset(asset), asset
