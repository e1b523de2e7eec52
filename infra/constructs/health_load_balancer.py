"""An internal load balancer in front of the workers' health endpoints: who is ill leaves, and others can ask."""

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.worker_fleet import CONTAINER
from infra.environments import EnvironmentConfig
from infra.names import Names
from infra.validation import acknowledge

HEALTH_PATH = "/healthz"


class HealthLoadBalancer(Construct):
    """Answers inside the network alone: over TLS where a certificate is named."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentConfig,
        names: Names,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        service: ecs.FargateService,
        access_logs: s3.IBucket,
    ) -> None:
        super().__init__(scope, id)
        self.load_balancer = elb.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            load_balancer_name=names.prefix,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_group=security_group,
            internet_facing=False,
            drop_invalid_header_fields=True,
        )
        if environment.is_local:
            acknowledge(
                self.load_balancer, {"ELB2": "The embedded cloud delivers no access logs; AWS does, everywhere else."}
            )
        else:
            self.load_balancer.log_access_logs(access_logs, "load-balancer")
        listener = self._make_listener(environment)
        self.target_group = elb.ApplicationTargetGroup(
            self,
            "Workers",
            vpc=vpc,
            port=environment.health_port,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            deregistration_delay=Duration.seconds(10),
            health_check=elb.HealthCheck(
                path=HEALTH_PATH,
                healthy_http_codes="200",
                interval=Duration.seconds(15),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
        listener.add_target_groups("Workers", target_groups=[self.target_group])
        self.target_group.add_target(
            service.load_balancer_target(container_name=CONTAINER, container_port=environment.health_port)
        )
        self.scheme = "https" if environment.certificate_arn else "http"

    @property
    def url(self) -> str:
        """Where the load balancer answers."""
        return f"{self.scheme}://{self.load_balancer.load_balancer_dns_name}"

    def _make_listener(self, environment: EnvironmentConfig) -> elb.ApplicationListener:
        if environment.certificate_arn is None:
            return self.load_balancer.add_listener("Http", port=80, protocol=elb.ApplicationProtocol.HTTP, open=False)
        return self.load_balancer.add_listener(
            "Https",
            port=443,
            protocol=elb.ApplicationProtocol.HTTPS,
            certificates=[elb.ListenerCertificate.from_arn(environment.certificate_arn)],
            ssl_policy=elb.SslPolicy.TLS13_RES,
            open=False,
        )
