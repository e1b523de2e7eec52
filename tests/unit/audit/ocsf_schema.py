"""Validates events against the published OCSF schema."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from pqtransfer.audit.ocsf import OCSF_VERSION


@cache
def find_validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    name = schema.lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schema.get_class_schema(class_name=name, profiles=list(profiles)))


def require_ocsf(entry: bytes) -> dict[str, Any]:
    """The document of an entry; it is valid."""
    document: dict[str, Any] = json.loads(entry)
    validator = find_validator(document["class_uid"], tuple(document["metadata"].get("profiles", ())))
    assert [error.message for error in validator.iter_errors(document)] == []
    return document
