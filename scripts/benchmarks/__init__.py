"""The benchmark: what sending, receiving and the worker cost, beside what others take for the same."""
