"""The rooms of what is for sale."""

from admin.catalog.products import Products

__all__ = ["Products"]
