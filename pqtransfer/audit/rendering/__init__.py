"""Compliance reports as a page, a document, and tables. What is needed for each is imported when it is asked for."""
