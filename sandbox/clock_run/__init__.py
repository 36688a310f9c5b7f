"""Months of subscriptions in minutes: real processes, made-up customers, and what must hold."""
