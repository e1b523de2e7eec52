"""What developers and operators run: short and readable. The code they share stands in modules beside them."""
