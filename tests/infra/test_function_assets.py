"""Each function's asset holds everything its handler needs: imported as the Lambda runtime would, without this project.

The interpreter is a fresh one without site-packages, so that no editable installation and no checkout can lend a
missing part. It sees the asset, the dependency layer, and the few libraries that the runtime itself brings.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.function_packages import ROOT, FunctionPackage
from tests.infra.conftest import STACKS, Synthesize, Synthesized

RUNTIME_BRINGS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
IMPORT = """
import importlib, sys
asset, handler, *more = sys.argv[1:]
sys.path[:0] = [asset, *more]
module, _, function = handler.rpartition(".")
assert callable(getattr(importlib.import_module(module), function))
ours = [each for name, each in sys.modules.items() if name.partition(".")[0] in ("functions", "pqtransfer")]
assert ours
for each in ours:
    assert each.__file__.startswith(asset + "/"), each.__file__
"""


@pytest.fixture(scope="session")
def runtime_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the libraries that the Lambda runtime brings, and no other."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME_BRINGS:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


def run_import(asset: Path, handler: str, *more: Path) -> subprocess.CompletedProcess[str]:
    """Import a handler with nothing on the path but the standard library, the asset, and `more`."""
    command = [sys.executable, "-I", "-S", "-B", "-c", IMPORT, str(asset), handler, *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def find_asset(synthesized: Synthesized, resource: dict[str, Any]) -> Path:
    """The folder of a function's or layer's code."""
    code = resource["Properties"].get("Code") or resource["Properties"]["Content"]
    return synthesized.folder / f"asset.{code['S3Key'].removesuffix('.zip')}"


def test_every_handler_is_imported_from_its_asset(synthesize: Synthesize, runtime_libraries: Path) -> None:
    """What would break with a missing module when it is deployed breaks here. Locally the layer is for this Python."""
    synthesized = synthesize("local")
    resources = synthesized.template("Control")["Resources"]
    (layer,) = [each for each in resources.values() if each["Type"] == "AWS::Lambda::LayerVersion"]
    layers = [find_asset(synthesized, layer) / "python"]
    functions = [
        each
        for stack in STACKS
        for each in synthesized.template(stack)["Resources"].values()
        if each["Type"] == "AWS::Lambda::Function"
    ]
    assert len(functions) == len([each for each in (ROOT / "functions").iterdir() if (each / "handler.py").exists()])
    for function in functions:
        asset, handler = find_asset(synthesized, function), function["Properties"]["Handler"]
        done = run_import(asset, handler, *layers, runtime_libraries)
        assert done.returncode == 0, f"{handler}: {done.stderr}"


def test_every_environment_packages_the_same_code(synthesize: Synthesize) -> None:
    """So what was imported from the local assets holds for those of AWS."""

    def hashes(environment: str) -> set[str]:
        functions = synthesize(environment).resources("AWS::Lambda::Function").values()
        return {each["Code"]["S3Key"] for each in functions}

    assert hashes("local") == hashes("production")


def test_a_part_that_is_missing_is_found(synthesize: Synthesize, runtime_libraries: Path, tmp_path: Path) -> None:
    """The check has teeth: without `pqtransfer/aws`, or without the layer, the import fails."""
    package = FunctionPackage("publish_transfer_events")
    for file in package.files():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).symlink_to(ROOT / file)
    synthesized = synthesize("local")
    resources = synthesized.template("Control")["Resources"]
    (layer,) = [each for each in resources.values() if each["Type"] == "AWS::Lambda::LayerVersion"]
    site = find_asset(synthesized, layer) / "python"
    assert "No module named 'pqtransfer.audit'" in run_import(tmp_path, package.handler, site, runtime_libraries).stderr
    assert "No module named 'aws_lambda_powertools'" in run_import(tmp_path, package.handler, runtime_libraries).stderr


def test_the_layer_of_the_cloud_is_the_layer_that_was_imported(synthesize: Synthesize) -> None:
    """The same packages, in the same versions, for the runtime's Python instead of this one."""

    def packages(environment: str) -> set[str]:
        synthesized = synthesize(environment)
        resources = synthesized.template("Control")["Resources"]
        (layer,) = [each for each in resources.values() if each["Type"] == "AWS::Lambda::LayerVersion"]
        return {each.name for each in (find_asset(synthesized, layer) / "python").glob("*.dist-info")}

    assert packages("local")
    assert packages("local") == packages("production"), json.dumps(sorted(packages("local") ^ packages("production")))


TRACED = """
from pqtransfer.aws.function_telemetry import FunctionTelemetry
handler = FunctionTelemetry("rotate_keys").observe(lambda event, context: {"rotated": event["due"]})
class Context: function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "f", 1, "a", "1"
assert handler({"due": 2}, Context()) == {"rotated": 2}
import sys
assert "aws_xray_sdk" in sys.modules
"""


def test_a_run_is_traced_with_what_the_layer_brings(synthesize: Synthesize, runtime_libraries: Path) -> None:
    """As in Lambda with tracing on, and with nobody there who takes the trace: the run ends as it would without."""
    resources = synthesize("local").template("Control")["Resources"]
    (layer,) = [each for each in resources.values() if each["Type"] == "AWS::Lambda::LayerVersion"]
    path = [find_asset(synthesize("local"), layer) / "python", runtime_libraries, ROOT]
    variables = {
        "PYTHONPATH": ":".join(map(str, path)),
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9",
    }
    command = [sys.executable, "-S", "-B", "-c", TRACED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
