"""What we claim about speed, measured: every number beside a rival of the same run."""
