"""Production's neighbours on one laptop: Postgres, Redis, Stripe, a mailbox and a demo shop."""
