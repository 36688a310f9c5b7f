"""StartupWebApp: one business, many forks, one codebase."""

import gc

# So many objects are made before Python looks through them for garbage. By its own 700, loading
# the app alone is interrupted thousands of times, which is a seventh of a process's start.
gc.set_threshold(20_000)
