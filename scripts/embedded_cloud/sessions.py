"""Clients of an emulated cloud, by localstack-client: the same code talks to the embedded one and to a LocalStack."""

from typing import Any

from localstack_client.session import Session

from scripts.embedded_cloud.server import REGION


class CloudSession(Session):  # type: ignore[misc]
    """A localstack-client session that also signs with temporary credentials, which the original leaves out."""

    def client(self, service_name: str, **kwargs: Any) -> Any:
        """A boto3 client of the emulated cloud."""
        return super().client(service_name, aws_session_token=self.aws_session_token, **kwargs)

    def resource(self, service_name: str, **kwargs: Any) -> Any:
        """A boto3 resource of the emulated cloud."""
        return super().resource(service_name, aws_session_token=self.aws_session_token, **kwargs)


def open_session(
    localstack_host: str, *, access_key_id: str, secret_access_key: str, token: str | None = None
) -> CloudSession:
    """A session at `HOST:PORT` under the given credentials."""
    return CloudSession(
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        aws_session_token=token,
        region_name=REGION,
        localstack_host=localstack_host,
    )


def assume_role(session: CloudSession, localstack_host: str, role_arn: str) -> CloudSession:
    """A session under a role: the cloud then holds it to that role's policies."""
    answer = session.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="embedded-cloud")
    keys = answer["Credentials"]
    return open_session(
        localstack_host,
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        token=keys["SessionToken"],
    )
