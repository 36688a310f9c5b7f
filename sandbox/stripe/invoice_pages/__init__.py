"""An invoice for people: its page, where it can be paid, and its papers."""
