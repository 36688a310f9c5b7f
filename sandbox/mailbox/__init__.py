"""Catches every mail the shop sends, and shows it: SMTP in, a page and JSON out."""
