"""Two forks on one Postgres and one Redis: nothing of one is any use in the other."""
