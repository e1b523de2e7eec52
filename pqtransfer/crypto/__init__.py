"""The container: payload format (FLOE), manifest, envelope, suites, keys. No cloud, no network."""
