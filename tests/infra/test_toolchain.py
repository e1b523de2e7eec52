"""The commands around the CDK: what the launcher adds, what deployables are told, what is packaged."""

from pathlib import Path

import pytest
from pydantic import Field

from infra.constructs.settings_environment import SettingWithoutValueError, make_environment
from infra.finished_folder import finished_once
from infra.function_packages import ROOT, FunctionPackage
from pqtransfer.environment import EnvironmentSettings
from scripts.cdk_launcher import name_all_stacks
from tests.infra.conftest import Synthesize


class ExampleSettings(EnvironmentSettings):
    """A deployable's settings: one required, one not."""

    table: str = Field(description="a table")
    limit: int = Field(default=1, description="a limit")


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (["deploy", "--context", "env=staging"], ["deploy", "--all", "--context", "env=staging"]),
        (["deploy", "--all", "--context", "env=dev"], ["deploy", "--all", "--context", "env=dev"]),
        (["deploy", "PqtransferFleet-dev", "-c", "env=dev"], ["deploy", "PqtransferFleet-dev", "-c", "env=dev"]),
        (["deploy", "*Storage*", "-c", "env=dev"], ["deploy", "*Storage*", "-c", "env=dev"]),
        (["destroy", "-c", "env=dev"], ["destroy", "-c", "env=dev"]),  # nobody destroys all by a slip
        ([], []),
    ],
)
def test_without_a_stacks_name_all_are_meant(given: list[str], becomes: list[str]) -> None:
    """`cdk deploy --context env=staging` deploys the environment."""
    assert name_all_stacks(given) == becomes


def test_variables_are_named_by_the_settings() -> None:
    """What a deployable does not ask for, it is not told."""
    assert make_environment(ExampleSettings, {"table": "t", "other": "o"}) == {"PQTRANSFER_TABLE": "t"}


def test_a_setting_that_nobody_provides_stops_synthesis() -> None:
    """A deployable that could not start is not deployed."""
    with pytest.raises(SettingWithoutValueError, match="ExampleSettings requires table"):
        make_environment(ExampleSettings, {"limit": "2"})


def test_a_package_is_an_allow_list() -> None:
    """The function's folder and the named parts: nothing of the command line, of tests, of other functions."""
    files = [str(file) for file in FunctionPackage("register_participant", parts=("crypto",)).files()]
    assert "functions/register_participant/handler.py" in files
    assert "pqtransfer/crypto/suites.py" in files
    assert not [file for file in files if file.startswith(("pqtransfer/cli", "tests", "functions/publish"))]


def test_a_function_that_is_not_there_is_an_error() -> None:
    """A slip in a name is found while synthesizing."""
    with pytest.raises(FileNotFoundError, match="no_such_function"):
        FunctionPackage("no_such_function").files()


@pytest.mark.parametrize("lock", ["functions/requirements.txt", "transfer_worker/requirements.txt"])
def test_deployables_run_what_was_tested(lock: str) -> None:
    """Every pin of a deployable's lock is the pin of the project's lock."""

    def pins(path: Path) -> set[str]:
        return {line.split(" ")[0] for line in path.read_text(encoding="utf-8").splitlines() if "==" in line[:60]}

    beside_the_project = {"setuptools"}
    found = {pin for pin in pins(ROOT / lock) if pin.partition("==")[0] not in beside_the_project}
    assert found
    assert found <= pins(ROOT / "requirements.txt")


def fill_and_fail(folder: Path) -> None:
    with finished_once(folder) as unfinished:
        assert unfinished is not None
        (unfinished / "half").touch()
        raise OSError("disk")


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What fails leaves nothing; what is there is not made again."""
    folder = tmp_path / "made"
    with pytest.raises(OSError, match="disk"):
        fill_and_fail(folder)
    assert not list(tmp_path.iterdir())
    with finished_once(folder) as unfinished:
        assert unfinished is not None
        (unfinished / "file").touch()
    with finished_once(folder) as unfinished:
        assert unfinished is None
    assert [each.name for each in folder.iterdir()] == ["file"]


def test_the_image_is_built_from_the_package_and_the_worker_alone(synthesize: Synthesize) -> None:
    """No test, no lock of the tools, no history; and it does not run as root, on a base that can be replaced."""
    folder = synthesize("staging").folder
    (image,) = [each for each in folder.glob("asset.*") if (each / "transfer_worker" / "Dockerfile").exists()]
    assert {each.name for each in image.iterdir()} <= {
        ".dockerignore",
        "README.md",
        "pyproject.toml",
        "pqtransfer",
        "transfer_worker",
    }
    dockerfile = (image / "transfer_worker" / "Dockerfile").read_text(encoding="utf-8")
    assert "ARG BASE_IMAGE=" in dockerfile
    assert "USER 10001" in dockerfile
    assert not list(image.rglob("__pycache__"))
