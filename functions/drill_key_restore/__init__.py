"""Prove that backups of private keys can be restored. Runs weekly, and for `pqtransfer keys drill`."""
