"""The controls that the sections of a report have evidence for, cited exactly.

A control is listed where the log shows something about it, and says what the log cannot show. That a report lists it
does not say that it is met: that is for whoever assesses it.
"""

from pqtransfer.audit.report_model import Control, Framework

INTEGRITY, OPERATIONS, ACCESS, KEYS = "integrity", "operations", "access", "keys"
TRANSFERS, SECURITY, CHANGES = "transfers", "security", "changes"

_SOX = (
    (
        "SOX s. 404(a), 15 U.S.C. 7262(a)",
        "Management's assessment of internal control: evidence that the controls below operated in the period",
        (INTEGRITY, OPERATIONS, ACCESS, CHANGES),
        "Which systems are in scope, and the assessment itself, are management's.",
    ),
    (
        "ITGC: access to programs and data (PCAOB AS 2110, App. B)",
        "Who used which keys and data; what was refused",
        (ACCESS, OPERATIONS),
        "Joiners and leavers are recorded by the identity provider.",
    ),
    (
        "ITGC: program changes (PCAOB AS 2110, App. B)",
        "Changes of configuration, with who made them",
        (CHANGES,),
        "Changes of code are recorded by the delivery pipeline.",
    ),
    (
        "ITGC: computer operations (PCAOB AS 2110, App. B)",
        "Jobs that ran, failed, or were interrupted; incidents",
        (TRANSFERS, SECURITY),
        "",
    ),
    ("SOX s. 802, 18 U.S.C. 1519", "No record was altered, destroyed or falsified", (INTEGRITY,), ""),
    (
        "SOX s. 802, 17 CFR 210.2-06",
        "Records relevant to an audit are kept for seven years",
        (INTEGRITY, CHANGES),
        "How long records are kept is set per environment; purges are listed under changes.",
    ),
)
_HIPAA = (
    (
        "45 CFR 164.308(a)(1)(ii)(D)",
        "Information system activity review: records of activity are reviewed regularly",
        (OPERATIONS, ACCESS, SECURITY),
        "That a person has reviewed this report is recorded by whoever does.",
    ),
    ("45 CFR 164.308(a)(5)(ii)(C)", "Log-in monitoring: attempts that were refused", (ACCESS,), ""),
    ("45 CFR 164.308(a)(6)(ii)", "Response and reporting: security incidents are documented", (SECURITY,), ""),
    ("45 CFR 164.312(a)(1)", "Access control: only those that were granted access have it", (ACCESS,), ""),
    ("45 CFR 164.312(a)(2)(i)", "Unique user identification: every action has a name to it", (ACCESS, OPERATIONS), ""),
    (
        "45 CFR 164.312(a)(2)(iv)",
        "Encryption and decryption of electronic protected health information",
        (OPERATIONS, KEYS),
        "",
    ),
    ("45 CFR 164.312(b)", "Audit controls: mechanisms that record and examine activity", (INTEGRITY, OPERATIONS), ""),
    (
        "45 CFR 164.312(c)(1), (c)(2)",
        "Integrity: data is not altered or destroyed improperly, and that is corroborated electronically",
        (INTEGRITY, TRANSFERS),
        "",
    ),
    (
        "45 CFR 164.312(d)",
        "Person or entity authentication: whoever seeks access is the one claimed",
        (ACCESS, KEYS),
        "How a person signs in is recorded by the identity provider.",
    ),
    (
        "45 CFR 164.312(e)(1), (e)(2)(i)-(ii)",
        "Transmission security: integrity controls and encryption",
        (TRANSFERS, OPERATIONS),
        "",
    ),
    (
        "45 CFR 164.316(b)(2)(i)",
        "Documentation is kept for six years",
        (INTEGRITY, CHANGES),
        "How long records are kept is set per environment; purges are listed under changes.",
    ),
)
_PCI_DSS = (
    (
        "PCI DSS v4.0.1, 3.6.1",
        "Keys that protect stored data are protected against disclosure and misuse",
        (KEYS, OPERATIONS),
        "",
    ),
    (
        "PCI DSS v4.0.1, 3.6.1.3",
        "Access to cleartext key components is restricted to the fewest custodians",
        (OPERATIONS, ACCESS),
        "Who may read a secret is set by roles of the cloud account.",
    ),
    ("PCI DSS v4.0.1, 3.7.1", "Strong keys are generated", (KEYS,), ""),
    ("PCI DSS v4.0.1, 3.7.2", "Keys are distributed securely", (KEYS, OPERATIONS), ""),
    ("PCI DSS v4.0.1, 3.7.4", "Keys are changed at the end of their cryptoperiod", (KEYS,), ""),
    (
        "PCI DSS v4.0.1, 3.7.5",
        "Keys are retired, replaced or destroyed when their integrity is weakened or compromise is suspected",
        (KEYS, SECURITY),
        "",
    ),
    ("PCI DSS v4.0.1, 3.7.7", "Unauthorized substitution of keys is prevented", (KEYS, INTEGRITY), ""),
    (
        "PCI DSS v4.0.1, 4.2.1",
        "Strong cryptography protects data in transit over open networks",
        (TRANSFERS, OPERATIONS),
        "",
    ),
    ("PCI DSS v4.0.1, 8.2.1", "Every user has a unique id before access is allowed", (ACCESS,), ""),
    (
        "PCI DSS v4.0.1, 8.6.3, 8.6.1",
        "Application and system accounts: their use, and that their credentials are protected",
        (ACCESS, KEYS),
        "Interactive log-in of system accounts is recorded by the identity provider.",
    ),
    (
        "PCI DSS v4.0.1, 10.2.1, 10.2.1.1-10.2.1.7",
        "Individual access, administrative actions, invalid attempts, changes of credentials and objects are logged",
        (OPERATIONS, ACCESS, KEYS, CHANGES),
        "Access to the log's own files is recorded by the storage service.",
    ),
    (
        "PCI DSS v4.0.1, 10.2.2",
        "Each record says who, what, when, whether it succeeded, where it came from, and on what",
        (OPERATIONS, TRANSFERS),
        "",
    ),
    (
        "PCI DSS v4.0.1, 10.3.2, 10.3.4",
        "Audit logs are protected from modification, and changes are detected",
        (INTEGRITY,),
        "",
    ),
    (
        "PCI DSS v4.0.1, 10.4.1, 10.4.1.1",
        "Audit logs are reviewed daily, by automated mechanisms",
        (ACCESS, SECURITY),
        "This report covers its period; the daily check is the system's own.",
    ),
    (
        "PCI DSS v4.0.1, 10.5.1",
        "History is kept for twelve months, three of them immediately available",
        (INTEGRITY, CHANGES),
        "How long records are kept is set per environment; purges are listed under changes.",
    ),
    (
        "PCI DSS v4.0.1, 10.7.2",
        "Failures of critical security controls are detected, alerted and addressed",
        (SECURITY, INTEGRITY),
        "",
    ),
)
_CONTROLS = {Framework.SOX: _SOX, Framework.HIPAA: _HIPAA, Framework.PCI_DSS: _PCI_DSS}

TITLES = {
    Framework.SOX: "Sarbanes-Oxley Act (SOX): IT general controls",
    Framework.HIPAA: "HIPAA Security Rule",
    Framework.PCI_DSS: "PCI DSS v4.0.1",
    Framework.ALL: "SOX, HIPAA and PCI DSS",
}


def list_controls(framework: Framework) -> tuple[Control, ...]:
    """The controls of a framework, or of all of them."""
    return tuple(
        Control(framework=each, reference=reference, title=title, sections=sections, note=note)
        for each, controls in _CONTROLS.items()
        if framework in (each, Framework.ALL)
        for reference, title, sections, note in controls
    )
