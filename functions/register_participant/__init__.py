"""Register a participant. Invoked by administrators through `pqtransfer participants add`."""
