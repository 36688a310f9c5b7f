"""What the bench of webhooks needs: customers with a history, a rival, an eye on the banner."""
