"""Everything that is provisioned, as AWS CDK: stacks wire, constructs each do one thing, one model per environment."""
