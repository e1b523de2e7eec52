"""Post-quantum-safe transfer of federated-learning models through the cloud."""
