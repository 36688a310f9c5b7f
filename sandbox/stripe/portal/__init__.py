"""The customer portal: plan, cards and invoices, as far as its configuration lets people go."""
