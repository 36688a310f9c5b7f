"""What the benches of campaigns share: a mail of realistic size, a mail server, the rivals."""
