"""Decides how many workers there should be, every minute and when the queue is suddenly long."""
