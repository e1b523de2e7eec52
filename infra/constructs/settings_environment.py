"""Environment variables of a deployable, taken from its settings model: names and completeness have one source."""

from collections.abc import Mapping

from pqtransfer.environment import EnvironmentSettings, name_variable
from pqtransfer.errors import InputError


class SettingWithoutValueError(InputError):
    """A deployable asks for a setting that the infrastructure does not know."""

    def __init__(self, settings: type[EnvironmentSettings], fields: list[str]) -> None:
        super().__init__(
            f"{settings.__module__}.{settings.__name__} requires {', '.join(fields)}: "
            "give it a default, or add its value where the infrastructure builds this deployable"
        )


def make_environment(settings: type[EnvironmentSettings], values: Mapping[str, str]) -> dict[str, str]:
    """The variables of `settings` that `values` has something for.

    Raises:
        SettingWithoutValueError: a required setting has no value, so that the deployable could not start.
    """
    required = [name for name, field in settings.model_fields.items() if field.is_required()]
    missing = [name for name in required if name not in values]
    if missing:
        raise SettingWithoutValueError(settings, missing)
    return {name_variable(name): values[name] for name in settings.model_fields if name in values}
