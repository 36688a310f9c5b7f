"""What browsers report, and what people fill in, of campaigns."""
