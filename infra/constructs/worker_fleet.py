"""The workers: a Fargate service that replaces itself without a gap, and goes back when the new version fails."""

from collections.abc import Mapping

from aws_cdk import Annotations, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.worker_image import WorkerImage, make_worker_image
from infra.constructs.worker_roles import ExecutionRole
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge

CONTAINER = "worker"
HEALTH_TIMEOUT_SECONDS = 5


class WorkerFleet(Construct):
    """Cluster, task definition and service."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        task_role: iam.Role,
        variables: Mapping[str, str],
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=names.prefix,
            vpc=vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        image = make_worker_image(self, environment)
        self.task = self._make_task(environment, task_role, image, variables, log_group)
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=self.task,
            # No desired count: `decide_scaling` sets it within a minute, and a deployment must not put it back.
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            security_groups=[security_group],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            assign_public_ip=False,
            enable_execute_command=False,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            health_check_grace_period=Duration.seconds(60),
        )

    def _make_task(
        self,
        environment: EnvironmentConfig,
        task_role: iam.Role,
        image: WorkerImage,
        variables: Mapping[str, str],
        log_group: logs.ILogGroup,
    ) -> ecs.FargateTaskDefinition:
        execution = ExecutionRole(self, "Execution", log_group=log_group, image_repository_arn=image.repository_arn)
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            cpu=environment.worker_cpu_units,
            memory_limit_mib=environment.worker_memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.X86_64, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
            # Roles that the CDK may not add to: what they may do stands in `worker_roles` alone.
            task_role=task_role.without_policy_updates(),
            execution_role=execution.role.without_policy_updates(),
        )
        task.add_container(
            CONTAINER,
            image=image.image,
            environment=dict(variables),
            logging=ecs.LogDrivers.aws_logs(stream_prefix=CONTAINER, log_group=log_group),
            port_mappings=[ecs.PortMapping(container_port=environment.health_port)],
            stop_timeout=Duration.seconds(environment.stop_timeout_seconds),
            readonly_root_filesystem=True,
            # ECS itself has no other way to know: what the load balancer sees is the service's, not the task's.
            health_check=ecs.HealthCheck(
                command=["CMD", "python3", "-c", ask_health(environment.health_port)],
                interval=Duration.seconds(30),
                timeout=Duration.seconds(HEALTH_TIMEOUT_SECONDS + 5),
                retries=3,
                start_period=Duration.seconds(60),
            ),
            linux_parameters=ecs.LinuxParameters(self, "Linux", init_process_enabled=True),
        )
        if image.repository_arn is not None:
            Annotations.of(task).acknowledge_warning(
                "@aws-cdk/aws-ecs:ecrImageRequiresPolicy", "The execution role may pull from exactly this repository."
            )
        acknowledge(
            task,
            {"ECS2": "The variables name resources and limits; no secret is ever a variable: roles give access."},
        )
        return task


def ask_health(port: int) -> str:
    """A program for the image's Python, which ends well where the worker is healthy: there is no curl in it."""
    address = f"http://127.0.0.1:{port}/healthz"
    return f"import urllib.request; urllib.request.urlopen({address!r}, timeout={HEALTH_TIMEOUT_SECONDS})"
