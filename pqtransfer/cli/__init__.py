"""The command line. It parses, calls the SDK, and shows what came of it."""
