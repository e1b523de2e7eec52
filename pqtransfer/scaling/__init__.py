"""How many workers there should be: rules without a cloud, which a simulation runs as well as the deployed function."""
