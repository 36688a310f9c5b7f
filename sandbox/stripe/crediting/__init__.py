"""Credit notes: what an invoice is corrected by, and where the money goes."""
