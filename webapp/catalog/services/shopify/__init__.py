"""The product CSV that Shopify writes: reading it, merging it into the catalogue, writing it."""
