"""What billing does; callers commit, but around calls to Stripe it commits itself."""
