"""What people do with their accounts, one file per thing they want."""
