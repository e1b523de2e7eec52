"""What `cdk` runs: `cdk deploy --all --context env=ENV`."""

import os
import sys

from aws_cdk import App

from infra.application import build_application
from pqtransfer.errors import PqtransferError


def main() -> int:
    """Synthesize; a configuration that cannot be used ends in its message, not in a traceback."""
    app = App()
    try:
        build_application(app, variables=os.environ)
    except PqtransferError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    try:
        app.synth()
    except RuntimeError as error:
        # cdk-nag has printed its findings by now; anything else is a defect, and deserves its traceback.
        if "ValidationFailed" not in str(error):
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
