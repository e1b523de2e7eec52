"""Environments and what overrides them: precedence, and a clear answer to everything that cannot work."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from infra.environments import EnvironmentConfig
from infra.overrides import (
    DEFAULTS,
    ConfigurationError,
    InvalidSettingError,
    MissingSettingError,
    UnknownEnvironmentError,
    UnknownSettingError,
    load_environment,
)

ACCOUNT = {"account": "123456789012", "region": "eu-central-1"}
CERTIFICATE = {"certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/0"}
STAGING = {"env": "staging", **ACCOUNT, **CERTIFICATE}
PRODUCTION = {**STAGING, "env": "production"}


def load(context: Mapping[str, Any], **variables: str) -> EnvironmentConfig:
    return load_environment(context, variables)


@pytest.mark.requirement("D1.5", "D5.2")
@pytest.mark.parametrize(
    ("context", "variables", "sizes"),
    [
        ({"env": "local"}, {}, (1, 2, 1, False)),
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


def test_a_developers_account_follows_the_credentials() -> None:
    """`dev` needs no account named; the CDK knows whose credentials these are."""
    found = load({"env": "dev"}, CDK_DEFAULT_ACCOUNT="123456789012", CDK_DEFAULT_REGION="eu-west-1")
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
        ({**STAGING, "lease_seconds": "600"}, {}, "raise message_visibility_seconds"),
        ({**STAGING, "require_tls": "false"}, {}, "require_tls=false is for local alone"),
        ({**STAGING, "account_may_act_as_worker": "true"}, {}, "for local alone"),
        ({**PRODUCTION, "retain_data": "false"}, {}, "retain_data=false is not allowed in production"),
        ({**PRODUCTION, "termination_protection": "false"}, {}, "not allowed in production"),
        ({**PRODUCTION, "flow_logs": "false"}, {}, "not allowed in production"),
        ({**PRODUCTION, "workers_minimum": "0"}, {}, "leaves production without a worker"),
        ({"env": "local", "account": "123456789012"}, {}, "--context env=dev"),
        ({"env": "local"}, {"CDK_DEFAULT_ACCOUNT": "123456789012"}, "scripts/cloud start"),
        (STAGING, {"CDK_DEFAULT_ACCOUNT": "999999999999"}, "choose credentials of account 123456789012"),
        ({"env": "dev"}, {"CDK_DEFAULT_ACCOUNT": "000000000000", "CDK_DEFAULT_REGION": "us-east-1"}, "embedded cloud"),
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
