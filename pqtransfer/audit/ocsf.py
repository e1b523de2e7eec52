"""Audit events as OCSF 1.4 (Open Cybersecurity Schema Framework), and back.

| kind                                   | class                      | activity                              |
|----------------------------------------|----------------------------|---------------------------------------|
| cryptography, access, administration   | 6003 API Activity          | Create, Read, Update, Delete, or Other |
| key, configuration                     | 3004 Entity Management     | Create ... Resume, or Other           |
| transfer                               | 6006 File Hosting Activity | Upload, Download, Delete ..., or Other |
| security                               | 2004 Detection Finding     | Create                                |

OCSF has no class for cryptographic operations; its mappings put calls of key services under API Activity, as is done
here. `Other` names the verb in `activity_name`. What OCSF has no field for is in `unmapped`: key id, suite, details.
"""

from collections.abc import Mapping
from typing import Any

from pqtransfer.audit.errors import MalformedEventError
from pqtransfer.crypto.canonical_json import JsonObject

OCSF_VERSION = "1.4.0"
PRODUCT = {"name": "pqtransfer", "vendor_name": "pqtransfer"}
OTHER = 99

API_ACTIVITY, ENTITY_MANAGEMENT, FILE_HOSTING, DETECTION_FINDING = 6003, 3004, 6006, 2004
CLASS_OF_KIND: Mapping[str, int] = {
    "cryptography": API_ACTIVITY,
    "key": ENTITY_MANAGEMENT,
    "transfer": FILE_HOSTING,
    "access": API_ACTIVITY,
    "configuration": ENTITY_MANAGEMENT,
    "administration": API_ACTIVITY,
    "security": DETECTION_FINDING,
}
_ENTITY_VERBS = {
    "create": (1, "Create"), "read": (2, "Read"), "update": (3, "Update"), "delete": (4, "Delete"),
    "enroll": (6, "Enroll"), "unenroll": (7, "Unenroll"), "enable": (8, "Enable"), "disable": (9, "Disable"),
    "activate": (10, "Activate"), "deactivate": (11, "Deactivate"), "suspend": (12, "Suspend"),
    "resume": (13, "Resume"),
    "retire": (11, "Deactivate"), "revoke": (9, "Disable"), "destroy": (4, "Delete"), "register": (6, "Enroll"),
}  # fmt: skip
ACTIVITY_OF_VERB: Mapping[int, Mapping[str, tuple[int, str]]] = {
    API_ACTIVITY: {name: _ENTITY_VERBS[name] for name in ("create", "read", "update", "delete")},
    ENTITY_MANAGEMENT: _ENTITY_VERBS,
    FILE_HOSTING: {
        "send": (1, "Upload"), "upload": (1, "Upload"), "receive": (2, "Download"), "download": (2, "Download"),
        "update": (3, "Update"), "delete": (4, "Delete"), "copy": (6, "Copy"), "share": (12, "Share"),
        "rewrap": (12, "Share"),
    },
    DETECTION_FINDING: {},
}  # fmt: skip
ALLOWED, DENIED = 1, 2
BLOCKED = 2
SHA_256 = 3
REGULAR_FILE = 1


def write_event(fields: Mapping[str, Any]) -> JsonObject:
    """The OCSF document of an event, given as the JSON values of its model without absent ones."""
    kind, succeeded, class_uid = fields["kind"], fields["succeeded"], CLASS_OF_KIND[fields["kind"]]
    activity_id, activity_name = _find_activity(class_uid, fields["action"])
    metadata = {
        "correlation_uid": fields["correlation_id"],
        "event_code": fields["action"],
        "log_name": kind,
        "log_provider": fields["producer"],
        "product": PRODUCT,
        "sequence": fields["sequence"],
        "uid": fields["event_id"],
        "version": OCSF_VERSION,
    }
    document: JsonObject = {
        "activity_id": activity_id,
        "activity_name": activity_name,
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "metadata": metadata,
        "severity_id": fields["severity"],
        "status_id": 1 if succeeded else 2,
        "time": fields["time_ms"],
        "type_uid": class_uid * 100 + activity_id,
        "unmapped": {name: fields[name] for name in ("details", "key_id", "suite") if name in fields},
    }
    if "reason" in fields:
        document["status_detail"] = fields["reason"]
    if kind == "access":
        metadata["profiles"] = ["security_control"]
        document["action_id"] = ALLOWED if succeeded else DENIED
        document["disposition_id"] = ALLOWED if succeeded else BLOCKED
    return document | _write_subject(class_uid, fields)


def read_event(document: JsonObject) -> dict[str, Any]:
    """Inverse of `write_event`, for what follows its layout. What else the document says is not looked at.

    Raises:
        MalformedEventError: a field is missing, or is of another type.
    """
    try:
        metadata, unmapped, class_uid = document["metadata"], document["unmapped"], document["class_uid"]
        fields = {
            "kind": metadata["log_name"],
            "action": metadata["event_code"],
            "producer": metadata["log_provider"],
            "sequence": metadata["sequence"],
            "event_id": metadata["uid"],
            "time_ms": document["time"],
            "succeeded": document["status_id"] == 1,
            "correlation_id": metadata["correlation_uid"],
            "severity": document["severity_id"],
            "reason": document.get("status_detail"),
            "key_id": unmapped.get("key_id"),
            "suite": unmapped.get("suite"),
            "details": unmapped["details"],
            **_read_subject(class_uid, document),
        }
    except (KeyError, IndexError, TypeError, AttributeError):
        raise MalformedEventError("a field is missing, or is of another type") from None
    return fields


def _find_activity(class_uid: int, action: str) -> tuple[int, str]:
    verb = action.rpartition(".")[2]
    if class_uid == DETECTION_FINDING:
        return 1, "Create"
    return ACTIVITY_OF_VERB[class_uid].get(verb, (OTHER, verb))


def _write_subject(class_uid: int, fields: Mapping[str, Any]) -> JsonObject:
    """Who, on what, from where: the fields that differ by class."""
    target = fields["target"]
    address = fields.get("source_address")
    who: JsonObject = {
        "actor": {"user": {"name": fields["actor"]}},
        "src_endpoint": {"ip": address} if address else {"svc_name": fields["producer"]},
    }
    resource = {"type": target["type"], "uid": target["id"]}
    if class_uid == DETECTION_FINDING:
        finding = {"title": fields["action"], "uid": fields["event_id"]}
        return {"evidences": [who], "finding_info": finding, "resources": [resource]}
    if class_uid == ENTITY_MANAGEMENT:
        return who | {"entity": resource}
    if class_uid == API_ACTIVITY:
        api = {"operation": fields["action"], "service": {"name": fields["producer"]}}
        return who | {"api": api, "resources": [resource]}
    file: JsonObject = {"name": target["id"], "type": target["type"], "type_id": REGULAR_FILE}
    if "size_bytes" in fields:
        file["size"] = fields["size_bytes"]
    if "sha256" in fields:
        file["hashes"] = [{"algorithm_id": SHA_256, "value": fields["sha256"]}]
    return who | {"file": file}


def _read_subject(class_uid: object, document: JsonObject) -> dict[str, Any]:
    who = document["evidences"][0] if class_uid == DETECTION_FINDING else document
    fields: dict[str, Any] = {"actor": who["actor"]["user"]["name"], "source_address": who["src_endpoint"].get("ip")}
    if class_uid == FILE_HOSTING:
        file = document["file"]
        hashes = file.get("hashes")
        return fields | {
            "target": {"type": file["type"], "id": file["name"]},
            "size_bytes": file.get("size"),
            "sha256": hashes[0]["value"] if hashes else None,
        }
    resource = document["entity"] if class_uid == ENTITY_MANAGEMENT else document["resources"][0]
    return fields | {"target": {"type": resource["type"], "id": resource["uid"]}}
