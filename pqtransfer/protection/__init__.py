"""Which keys protect which container, and what is done when a key is replaced or lost: joins keys, transfers and audit.

Rules and ports only; adapters stand in `pqtransfer.aws`.
"""
