"""The audit log: events, the Merkle tree over them, checkpoints, sequencing, verification. No cloud, no clock."""
