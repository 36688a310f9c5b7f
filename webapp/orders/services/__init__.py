"""The verbs of a sale, one file per use case."""
