"""What kills, races and floods must not do to a sale."""
