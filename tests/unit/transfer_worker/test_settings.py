"""What a worker that is started without its settings says, and what `main` returns."""

import os

import pytest

from pqtransfer.environment import SettingsError, load_settings, name_variable
from tests.unit.transfer_worker.conftest import SETTINGS
from transfer_worker import main
from transfer_worker.settings import WorkerSettings

REQUIRED = [name for name, field in WorkerSettings.model_fields.items() if field.is_required()]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is required, and nothing else."""
    for name in os.environ:
        if name.startswith("PQTRANSFER_"):
            monkeypatch.delenv(name)
    for name in REQUIRED:
        monkeypatch.setenv(name_variable(name), str(SETTINGS[name]))


def test_what_is_required_suffices() -> None:
    """Everything else has a default."""
    assert load_settings(WorkerSettings).queue_url == SETTINGS["queue_url"]


@pytest.mark.requirement("D5.5")
@pytest.mark.parametrize("how", ["missing", "empty"])
@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable(monkeypatch: pytest.MonkeyPatch, name: str, how: str) -> None:
    """The error names the variable, what it is for, and how to set it. Empty counts as missing."""
    variable = name_variable(name)
    if how == "missing":
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, "")
    with pytest.raises(SettingsError) as caught:
        load_settings(WorkerSettings)
    text = str(caught.value)
    assert text.startswith(f"{variable} is not set. It is ")
    assert WorkerSettings.model_fields[name].description in text
    assert f"export {variable}=" in text


@pytest.mark.requirement("D5.5")
def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start, one list."""
    for name in REQUIRED:
        monkeypatch.delenv(name_variable(name))
    with pytest.raises(SettingsError) as caught:
        load_settings(WorkerSettings)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [name_variable(name) for name in REQUIRED]


@pytest.mark.requirement("D5.5")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment", "qa"),
        ("health_port", "70000"),
        ("health_port", "eighty"),
        ("lease_seconds", "5"),
        ("max_receives", "0"),
        ("long_poll_seconds", "21"),
        ("stop_timeout_seconds", "1"),
        ("buffer_budget_bytes", "1000"),
        ("minimum_suite", "PQT-9"),
    ],
)
def test_a_value_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Found at the start, not at the first transfer; the error names the variable and what is wrong."""
    monkeypatch.setenv(name_variable(name), value)
    with pytest.raises(SettingsError, match=f"{name_variable(name)} is not usable: .+ It is .+ Set it with: export"):
        load_settings(WorkerSettings)


@pytest.mark.requirement("D5.5")
def test_the_program_ends_with_the_exit_code_of_wrong_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says on stderr what to do."""
    monkeypatch.delenv("PQTRANSFER_QUEUE_URL")
    assert main.main() == 2
    assert "export PQTRANSFER_QUEUE_URL=" in capsys.readouterr().err


def test_every_setting_says_what_it_is_for() -> None:
    """The description is what the error prints."""
    assert [name for name, field in WorkerSettings.model_fields.items() if not field.description] == []
