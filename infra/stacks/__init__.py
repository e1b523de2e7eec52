"""One stack a file, wiring only. What holds data stands apart from what can be made again."""
