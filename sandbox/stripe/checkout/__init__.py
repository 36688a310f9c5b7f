"""Checkout: what a session costs, how it is paid, and the page a buyer sees.

Resources and sessions use each other; whoever comes here first has the resources loaded first.
"""

from sandbox.stripe import resources

__all__ = ["resources"]
