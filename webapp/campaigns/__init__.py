"""What brings people here: advertisements and links, and what visitors do once they are here."""
