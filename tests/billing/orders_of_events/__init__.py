"""Whatever order events come in, twice or never: what we hold in the end is the same."""
