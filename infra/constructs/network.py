"""A network without a way out: isolated subnets, and AWS reached through endpoints inside it. No NAT, no internet."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.log_group import make_log_group
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge

HTTPS_PORT = 443

# What a worker and its platform call from inside: one interface endpoint each.
INTERFACE_ENDPOINTS: dict[str, ec2.InterfaceVpcEndpointAwsService] = {
    "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "Events": ec2.InterfaceVpcEndpointAwsService.EVENTBRIDGE,
    "Ecs": ec2.InterfaceVpcEndpointAwsService.ECS,
    "EcsAgent": ec2.InterfaceVpcEndpointAwsService.ECS_AGENT,
    "EcsTelemetry": ec2.InterfaceVpcEndpointAwsService.ECS_TELEMETRY,
}


class IsolatedNetwork(Construct):
    """The VPC, its subnets, its endpoints, and a security group for each kind of member."""

    def __init__(self, scope: Construct, id: str, *, environment: EnvironmentConfig, names: Names) -> None:
        super().__init__(scope, id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(environment.vpc_cidr),
            max_azs=environment.availability_zones,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22)
            ],
            restrict_default_security_group=False,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        self.worker_group = self._make_group("Workers", "transfer workers")
        self.worker_group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS_PORT), "AWS, through the endpoints: there is no other way"
        )
        self.load_balancer_group = self._make_group("LoadBalancer", "internal load balancer")
        self.load_balancer_group.add_egress_rule(
            ec2.Peer.ipv4(environment.vpc_cidr), ec2.Port.tcp(environment.health_port), "health of the workers"
        )
        self.worker_group.add_ingress_rule(
            ec2.Peer.security_group_id(self.load_balancer_group.security_group_id),
            ec2.Port.tcp(environment.health_port),
            "health checks",
        )
        self.load_balancer_group.add_ingress_rule(
            ec2.Peer.ipv4(environment.vpc_cidr), _listener_port(environment), "health of the fleet, from inside alone"
        )
        if environment.interface_endpoints:
            self._add_interface_endpoints()
        if environment.flow_logs:
            self._add_flow_logs(environment, names)
        else:
            acknowledge(
                self.vpc, {"VPC7": "The embedded cloud has no flow logs; every environment in AWS records them."}
            )

    def _make_group(self, id: str, whose: str) -> ec2.SecurityGroup:
        """A group that lets nothing in and nothing out, until it is told."""
        return ec2.SecurityGroup(self, f"{id}Group", vpc=self.vpc, description=f"The {whose}", allow_all_outbound=False)

    def _add_interface_endpoints(self) -> None:
        group = self._make_group("Endpoints", "interface endpoints")
        group.add_ingress_rule(
            ec2.Peer.security_group_id(self.worker_group.security_group_id), ec2.Port.tcp(HTTPS_PORT), "the workers"
        )
        for name, service in INTERFACE_ENDPOINTS.items():
            self.vpc.add_interface_endpoint(
                name, service=service, security_groups=[group], open=False, private_dns_enabled=True
            )

    def _add_flow_logs(self, environment: EnvironmentConfig, names: Names) -> None:
        group = make_log_group(self, "FlowLogs", environment=environment, name=f"{names.log_group_prefix}/network")
        role = iam.Role(self, "FlowLogsRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        self.vpc.add_flow_log(
            "Flows",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )


def _listener_port(environment: EnvironmentConfig) -> ec2.Port:
    return ec2.Port.tcp(HTTPS_PORT if environment.certificate_arn else 80)
