"""The rules of a transfer: requests, states, progress, checkpoints, and the jobs that move models. No AWS, no clock."""
