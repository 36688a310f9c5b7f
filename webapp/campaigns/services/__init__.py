"""What the shop learns from visitors, and the advertisements that bring them."""
