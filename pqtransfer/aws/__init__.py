"""The boto3 adapters: the only place that knows AWS. Each implements a port of a pure domain."""
