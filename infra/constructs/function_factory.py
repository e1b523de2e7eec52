"""Makes the functions of one or more stacks: what they share is said once, a function then says what is its own."""

from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.python_function import PythonFunction
from infra.environments import EnvironmentConfig
from infra.function_packages import ARCHITECTURE, RUNTIME, FunctionPackage, layer_code
from infra.names import Names
from pqtransfer.environment import EnvironmentSettings


class FunctionFactory:
    """Functions over one layer of dependencies, which stands in `stack`, and with logs under one key.

    A function is known by its settings: those in `functions/rotate_keys/settings.py` are `RotateKeysSettings`, its
    package is `rotate_keys`, and its construct `RotateKeys`.
    """

    def __init__(self, stack: Stack, *, environment: EnvironmentConfig, names: Names, log_key: kms.IKey) -> None:
        self._environment, self._names, self._log_key = environment, names, log_key
        self._layer = lambda_.LayerVersion(
            stack,
            "Dependencies",
            code=layer_code(local=environment.is_local),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
            description="What the functions need beside the Lambda runtime",
        )

    def make(
        self,
        scope: Construct,
        settings: type[EnvironmentSettings],
        *,
        parts: tuple[str, ...],
        values: Mapping[str, str],
        statements: Sequence[iam.PolicyStatement],
        memory_mib: int | None = None,
        timeout_seconds: int | None = None,
        identity: iam.Role | None = None,
    ) -> PythonFunction:
        """The function that reads `settings`, with `parts` of pqtransfer, in `scope`; the rest as in PythonFunction."""
        return PythonFunction(
            scope,
            settings.__name__.removesuffix("Settings"),
            environment=self._environment,
            names=self._names,
            package=FunctionPackage(settings.__module__.split(".")[1], parts=parts),
            settings=settings,
            values=values,
            statements=statements,
            layer=self._layer,
            log_key=self._log_key,
            memory_mib=memory_mib,
            timeout_seconds=timeout_seconds,
            identity=identity,
        )
