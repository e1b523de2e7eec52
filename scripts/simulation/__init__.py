"""A month of federated learning in seconds: how policies of scaling compare, by discrete-event simulation."""
