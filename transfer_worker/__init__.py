"""The transfer worker: takes transfer requests from the queue and streams models through encryption."""
