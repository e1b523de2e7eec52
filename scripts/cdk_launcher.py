"""`cdk`, as `.venv/bin/cdk` starts it: the locked command line under our Node.

`cdk deploy --context env=staging` means all stacks: without a stack's name, `--all` is added, which the CDK asks for.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pqtransfer.errors import PqtransferError
from scripts.toolchain import cdk_command, tool_variables

COMMANDS_FOR_ALL = ("deploy", "diff")
STACK_PREFIX = "Pqtransfer"


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the CDK's command line."""
    try:
        command = [*cdk_command(), *name_all_stacks(arguments)]
    except PqtransferError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    os.execve(command[0], command, tool_variables())  # noqa: S606 - no shell is wanted


def name_all_stacks(arguments: Sequence[str]) -> list[str]:
    """`arguments`, with `--all` where a command needs stacks and none is named."""
    names_stacks = any(each == "--all" or each.startswith(STACK_PREFIX) or "*" in each for each in arguments)
    if names_stacks or not arguments or arguments[0] not in COMMANDS_FOR_ALL:
        return list(arguments)
    return [arguments[0], "--all", *arguments[1:]]
