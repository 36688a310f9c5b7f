"""What people type about themselves, checked before anything is done with it."""
