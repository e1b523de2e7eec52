"""The Lambda functions, one folder each: a handler that parses, calls and returns, and its settings."""
