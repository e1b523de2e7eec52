"""Stack outputs, by the names that `pqtransfer.sdk.deployment` reads: `DataBucket` becomes `data_bucket`."""

from aws_cdk import CfnOutput, Stack


def add_outputs(stack: Stack, **values: str) -> None:
    """One output each, under exactly its name."""
    for name, value in values.items():
        CfnOutput(stack, f"{name}Output", value=value).override_logical_id(name)
