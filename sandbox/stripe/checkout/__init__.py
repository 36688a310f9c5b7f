"""Checkout: what a session costs, how it is paid, and the page a buyer sees."""
