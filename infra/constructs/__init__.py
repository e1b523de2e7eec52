"""One capability a file: the only places that make networks, buckets, queues, functions and roles."""
