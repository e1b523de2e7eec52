"""The transfer workers and what they stand on. Holds nothing that could be lost."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.constructs import grants
from infra.constructs.health_load_balancer import HEALTH_PATH, HealthLoadBalancer
from infra.constructs.log_group import make_log_group
from infra.constructs.settings_environment import make_environment
from infra.constructs.worker_fleet import WorkerFleet
from infra.constructs.worker_roles import WorkerPermissions
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.outputs import add_outputs
from infra.stacks.audit_log import AuditLogStack
from infra.stacks.control import ControlStack
from infra.stacks.network import NetworkStack
from infra.stacks.storage import StorageStack
from transfer_worker.settings import MEBIBYTE, WorkerSettings

# Between the worker's own deadline and the platform's SIGKILL.
STOP_MARGIN_SECONDS = 10
CPU_UNITS = 1024


class FleetStack(Stack):
    """Cluster, service, and the load balancer in front of its health endpoints."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        network: NetworkStack,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        vpc = network.network.vpc
        stores = storage.stores
        role = storage.worker.role
        permissions = WorkerPermissions(
            self,
            "Worker",
            environment=environment,
            names=names,
            stores=stores,
            audit=audit.stores,
            queue=control.queue,
            role=role,
        )
        self.fleet = fleet = WorkerFleet(
            self,
            "Fleet",
            environment=environment,
            names=names,
            vpc=vpc,
            security_group=self._fixed("WorkerGroup", network.network.worker_group),
            task_role=role,
            variables=self._worker_variables(environment, names, storage, audit, control),
            log_group=make_log_group(
                self, "Log", environment=environment, name=f"{names.log_group_prefix}/workers", key=stores.data_key
            ),
        )
        # No worker starts before it may do its work.
        fleet.service.node.add_dependency(permissions.policy)
        balancer = HealthLoadBalancer(
            self,
            "Health",
            environment=environment,
            names=names,
            vpc=vpc,
            security_group=self._fixed("LoadBalancerGroup", network.network.load_balancer_group),
            service=fleet.service,
            access_logs=storage.buckets.access_logs,
        )
        self.health = balancer.target_group
        add_outputs(
            self,
            Environment=environment.name,
            Region=self.region,
            AccountId=self.account,
            Cluster=fleet.cluster.cluster_name,
            Service=fleet.service.service_name,
            LoadBalancer=names.prefix,
            HealthTargetGroupArn=balancer.target_group.target_group_arn,
            HealthUrl=f"{balancer.url}{HEALTH_PATH}",
        )

    def _fixed(self, id: str, group: ec2.SecurityGroup) -> ec2.ISecurityGroup:
        """A security group whose rules stand in the network stack, and are not added to from here."""
        return ec2.SecurityGroup.from_security_group_id(self, id, group.security_group_id, mutable=False)

    def _worker_variables(
        self,
        environment: EnvironmentConfig,
        names: Names,
        storage: StorageStack,
        audit: AuditLogStack,
        control: ControlStack,
    ) -> dict[str, str]:
        stores = storage.stores
        return make_environment(
            WorkerSettings,
            {
                "environment": environment.name,
                "queue_url": control.queue.requests.queue_url,
                "dead_letter_queue_url": control.queue.dead_letters.queue_url,
                "transfers_table": stores.transfers.table_name,
                "checkpoints_table": stores.checkpoints.table_name,
                "participants_table": stores.participants.table_name,
                "envelopes_table": stores.envelopes.table_name,
                "data_bucket": stores.bucket_name,
                "audit_queue_url": audit.store.queue.queue_url,
                "checkpoint_key_arn": stores.checkpoint_key.key_arn,
                "participant_role_prefix": grants.participant_role_arn_prefix(self, names),
                "health_host": "0.0.0.0",  # noqa: S104 - the task's own address: the load balancer has to reach it
                "health_port": str(environment.health_port),
                "max_receives": str(environment.max_receives),
                "minimum_suite": environment.minimum_suite,
                "lease_seconds": str(environment.lease_seconds),
                "stop_timeout_seconds": str(environment.stop_timeout_seconds - STOP_MARGIN_SECONDS),
                "buffer_budget_bytes": str(environment.worker_buffer_mib * MEBIBYTE),
                "memory_limit_bytes": str(environment.worker_memory_mib * MEBIBYTE),
                "cpu_limit": str(environment.worker_cpu_units / CPU_UNITS),
            },
        )
