"""Environments and what overrides them: precedence, and a clear answer to everything that cannot work."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from infra.environments import EnvironmentConfig
from infra.function_packages import ROOT
from infra.overrides import (
    DEFAULTS,
    ConfigurationError,
    InvalidSettingError,
    MissingSettingError,
    UnknownEnvironmentError,
    UnknownSettingError,
    load_environment,
)
from pqtransfer.environment import EnvironmentSettings, name_variable

RECOVERY_KEY = {"recovery_public_key": "recovery/recovery-public-key.json"}
ACCOUNT = {"account": "123456789012", "region": "eu-central-1", **RECOVERY_KEY}
CERTIFICATE = {"certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/0"}
STAGING = {"env": "staging", **ACCOUNT, **CERTIFICATE}
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
PRODUCTION = {**STAGING, "env": "production"}


def load(context: Mapping[str, Any], **variables: str) -> EnvironmentConfig:
    return load_environment(context, variables)


@pytest.mark.requirement("D1.5", "D5.2")
@pytest.mark.parametrize(
    ("context", "variables", "sizes"),
    [
        ({"env": "local"}, {}, (1, 3, 1, False)),
        ({"env": "dev", **ACCOUNT}, {}, (1, 2, 14, False)),
        (STAGING, {}, (1, 4, 90, True)),
        (PRODUCTION, {}, (2, 20, 365, True)),
    ],
)
def test_each_environment_has_its_own_sizes_limits_and_security(
    context: dict[str, str], variables: dict[str, str], sizes: tuple[int, int, int, bool]
) -> None:
    """The name alone decides."""
    found = load(context, **variables)
    assert (found.workers_minimum, found.workers_maximum, found.log_retention_days, found.retain_data) == sizes


@pytest.mark.requirement("D5.3")
@pytest.mark.parametrize(
    ("context", "variables", "expected"),
    [
        ({}, {}, 4),
        ({}, {"PQTRANSFER_WORKERS_MAXIMUM": "7"}, 7),
        ({"workers_maximum": "9"}, {}, 9),
        ({"workers_maximum": "9"}, {"PQTRANSFER_WORKERS_MAXIMUM": "7"}, 9),  # what was typed last is meant
        ({}, {"PQTRANSFER_WORKERS_MAXIMUM": ""}, 4),  # empty is as good as unset
    ],
)
def test_a_value_is_overridden_without_a_change_of_code(
    context: dict[str, str], variables: dict[str, str], expected: int
) -> None:
    """The context wins over a variable, and a variable over the environment's own value."""
    assert load({**STAGING, **context}, **variables).workers_maximum == expected


def test_lists_are_written_with_commas() -> None:
    """Bucket names come as one value."""
    assert load({**STAGING, "source_buckets": "site-a, site-b"}).source_buckets == ("site-a", "site-b")


def test_sites_keys_are_written_with_commas() -> None:
    """In whatever account they are; multi-region keys have another form of id."""
    other = "arn:aws:kms:eu-central-1:999999999999:key/mrk-0123456789abcdef0123456789abcdef"
    found = load({**STAGING, "source_key_arns": f"{KEY}, {other}", "destination_key_arns": KEY})
    assert (found.source_key_arns, found.destination_key_arns) == ((KEY, other), (KEY,))


@pytest.mark.parametrize(
    "image", [f"{ECR}/worker", f"{ECR}/team/a_b.c--d/worker:v0.1-rc.1", f"{ECR}/team/worker@sha256:{'0a' * 32}"]
)
def test_the_worker_may_be_an_image_in_ecr(image: str) -> None:
    """By tag, by digest, or by neither."""
    assert load({**STAGING, "worker_image": image}).worker_image == image


def read_variables_in(*places: str) -> set[str]:
    """Every variable with our prefix that is written anywhere in these files and folders."""
    files = [path for place in places for path in [ROOT / place, *(ROOT / place).rglob("*")] if path.is_file()]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix != ".pyc"]
    return {name for text in texts for name in re.findall(r"PQTRANSFER_[A-Z][A-Z_]*[A-Z]", text)}


def test_no_variable_of_a_program_stands_in_the_way_of_a_deployment() -> None:
    """What the command line, scripts and the README ask to set may be set in the shell that deploys."""
    named = read_variables_in("pqtransfer/cli", "scripts", "README.md")
    assert named >= {"PQTRANSFER_DEPLOYMENT", "PQTRANSFER_KEY", "PQTRANSFER_PARTICIPANT"}
    programs = {name_variable(field) for each in list_settings() for field in each.model_fields}
    assert {"PQTRANSFER_QUEUE_URL", "PQTRANSFER_EVENT_BUS", "PQTRANSFER_PERMISSIONS_BOUNDARY_ARN"} <= programs
    fields = {name_variable(key) for key in EnvironmentConfig.model_fields}
    load(STAGING, **dict.fromkeys((named | programs) - fields, ""))


def list_settings() -> list[type[EnvironmentSettings]]:
    """The settings of every deployable."""
    for path in ROOT.glob("functions/*/settings.py"):
        importlib.import_module(f"functions.{path.parent.name}.settings")
    importlib.import_module("transfer_worker.settings")
    return [each for each in EnvironmentSettings.__subclasses__() if not each.__module__.startswith("tests")]


def test_a_developers_account_follows_the_credentials() -> None:
    """`dev` needs no account named; the CDK knows whose credentials these are."""
    found = load({"env": "dev", **RECOVERY_KEY}, CDK_DEFAULT_ACCOUNT="123456789012", CDK_DEFAULT_REGION="eu-west-1")
    assert (found.account, found.region) == ("123456789012", "eu-west-1")


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_what_others_rely_on_never_follows_the_credentials(environment: str) -> None:
    """A shell's profile must not decide where production goes."""
    with pytest.raises(MissingSettingError, match="PQTRANSFER_ACCOUNT"):
        load({"env": environment}, CDK_DEFAULT_ACCOUNT="123456789012", CDK_DEFAULT_REGION="eu-west-1")


def test_the_cdks_own_context_is_left_alone() -> None:
    """Feature flags and lookups live in the same place."""
    load({**STAGING, "@aws-cdk/core:flag": True, "availability-zones:account=1:region=x": ["a"]})


@pytest.mark.parametrize(
    ("context", "variables", "kind", "says"),
    [
        ({}, {}, UnknownEnvironmentError, ["No environment is named", "--context env=ENV", "production"]),
        ({"env": "prod"}, {}, UnknownEnvironmentError, ["'prod'", "local, dev, staging, production"]),
        ({**STAGING, "worker_max": "3"}, {}, UnknownSettingError, ["worker_max", "workers_maximum"]),
        (STAGING, {"PQTRANSFER_WORKERS_MAX": "3"}, UnknownSettingError, ["Did you mean PQTRANSFER_WORKERS_MAXIMUM"]),
        (
            {**STAGING, "worker_cpu_units": "100"},
            {},
            InvalidSettingError,
            ["worker_cpu_units is not usable in staging", "export PQTRANSFER_WORKER_CPU_UNITS="],
        ),
        ({**STAGING, "account": "123"}, {}, InvalidSettingError, ["account is not usable"]),
        ({"env": "dev"}, {}, MissingSettingError, ["dev needs account", "dev needs region"]),
    ],
)
@pytest.mark.requirement("D5.5")
def test_what_is_unknown_missing_or_invalid_is_named(
    context: dict[str, str], variables: dict[str, str], kind: type[ConfigurationError], says: list[str]
) -> None:
    """The message says which one, what it is for, and how to set it."""
    with pytest.raises(kind) as caught:
        load(context, **variables)
    for part in says:
        assert part in str(caught.value)


@pytest.mark.requirement("D5.5")
def test_a_missing_setting_is_explained() -> None:
    """Which one, what it is for, and both ways to set it."""
    with pytest.raises(MissingSettingError) as caught:
        load({"env": "production", **ACCOUNT})
    assert str(caught.value) == (
        "production needs certificate_arn. It is the ACM certificate of the internal load balancer. "
        "Set it with: --context certificate_arn=arn:aws:acm:eu-central-1:123456789012:certificate/... "
        "or export PQTRANSFER_CERTIFICATE_ARN=arn:aws:acm:eu-central-1:123456789012:certificate/..."
    )


@pytest.mark.requirement("D5.6")
@pytest.mark.parametrize(
    ("context", "variables", "says"),
    [
        ({**STAGING, "worker_memory_mib": "512"}, {}, "not sold with worker_cpu_units=1024: choose 2048 to 8192"),
        ({**STAGING, "worker_buffer_mib": "1900"}, {}, "lower the one or raise the other"),
        ({**STAGING, "workers_minimum": "5"}, {}, "workers_minimum=5 is more than workers_maximum=4"),
        ({**STAGING, "stop_timeout_seconds": "300"}, {}, "more than Fargate grants"),
        ({**STAGING, "lease_seconds": "30000"}, {}, "lease_seconds is not usable in staging"),
        ({**STAGING, "worker_image": "example/worker:1"}, {}, "write ACCOUNT.dkr.ecr.eu-central-1.amazonaws.com/"),
        (
            {**STAGING, "worker_image": f"{ECR.replace('eu-central-1', 'us-east-1')}/worker"},
            {},
            "reach no other registry",
        ),
        ({**STAGING, "worker_image": "public.ecr.aws/team/worker:1"}, {}, "or leave worker_image out"),
        ({**STAGING, "worker_image": f"{ECR}/worker:"}, {}, "REPOSITORY:TAG (or @sha256:DIGEST)"),
        ({**STAGING, "worker_image": f"{ECR}/worker@sha256:12"}, {}, "REPOSITORY:TAG (or @sha256:DIGEST)"),
        ({**STAGING, "worker_image": f"https://{ECR}/worker"}, {}, "is not in ECR"),
        ({**STAGING, "source_key_arns": "alias/site"}, {}, "is not the ARN of a KMS key"),
        ({**STAGING, "destination_key_arns": f"{KEY.replace(':key/', ':alias/')}"}, {}, "(not of an alias)"),
        ({**STAGING, "source_key_arns": f"{KEY},arn:aws:kms:*:123456789012:key/*"}, {}, "is not the ARN of a KMS key"),
        (
            {**STAGING, "destination_key_arns": KEY.replace("eu-central-1", "us-east-1")},
            {},
            "destination_key_arns has arn:aws:kms:us-east-1:123456789012:key/",
        ),
        ({**STAGING, "require_tls": "false"}, {}, "require_tls=false is for local alone"),
        ({**STAGING, "account_may_act_as_worker": "true"}, {}, "for local alone"),
        ({**PRODUCTION, "retain_data": "false"}, {}, "retain_data=false is not allowed in production"),
        ({**PRODUCTION, "termination_protection": "false"}, {}, "not allowed in production"),
        ({**PRODUCTION, "flow_logs": "false"}, {}, "not allowed in production"),
        ({**PRODUCTION, "workers_minimum": "0"}, {}, "leaves production without a worker"),
        ({"env": "local", "account": "123456789012"}, {}, "--context env=dev"),
        ({"env": "local"}, {"CDK_DEFAULT_ACCOUNT": "123456789012"}, "scripts/cloud start"),
        (STAGING, {"CDK_DEFAULT_ACCOUNT": "999999999999"}, "choose credentials of account 123456789012"),
        (
            {"env": "dev", **RECOVERY_KEY},
            {"CDK_DEFAULT_ACCOUNT": "000000000000", "CDK_DEFAULT_REGION": "us-east-1"},
            "embedded cloud",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(context: dict[str, str], variables: dict[str, str], says: str) -> None:
    """Switching the environment checks everything against it, and says how to mend what does not fit."""
    with pytest.raises(InvalidSettingError) as caught:
        load(context, **variables)
    assert says in str(caught.value)


def test_a_configuration_cannot_be_changed() -> None:
    """What was checked is what is deployed."""
    found = load(STAGING)
    with pytest.raises(ValidationError):
        found.workers_maximum = 99  # type: ignore[misc]


def test_every_default_belongs_to_a_setting() -> None:
    """A default that no setting has would be an unknown key."""
    for values in DEFAULTS.values():
        assert set(values) <= set(EnvironmentConfig.model_fields)
