"""The worker's container image: built from its Dockerfile, or one in ECR that is named, where nothing can be built."""

from dataclasses import dataclass

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.ecr_image import EcrImage
from infra.environments import EnvironmentConfig
from infra.function_packages import ROOT


@dataclass(frozen=True)
class WorkerImage:
    """The image, and the repository that it is pulled from; None in the embedded cloud, which runs no container."""

    image: ecs.ContainerImage
    repository_arn: str | None


def make_worker_image(scope: Construct, environment: EnvironmentConfig) -> WorkerImage:
    """The image that is named, or else the one that is built here."""
    if environment.worker_image is not None:
        named = EcrImage.parse(environment.worker_image)
        return WorkerImage(
            image=ecs.ContainerImage.from_registry(environment.worker_image),
            repository_arn=named.repository_arn if named else None,
        )
    asset = ecr_assets.DockerImageAsset(
        scope,
        "Image",
        directory=str(ROOT),
        file="transfer_worker/Dockerfile",
        platform=ecr_assets.Platform.LINUX_AMD64,
        # What stays out is in .dockerignore, for whoever builds it by hand too.
        ignore_mode=IgnoreMode.DOCKER,
    )
    return WorkerImage(
        image=ecs.ContainerImage.from_docker_image_asset(asset), repository_arn=asset.repository.repository_arn
    )
