"""A Stripe of our own on loopback: the official client cannot tell it from the real one."""
