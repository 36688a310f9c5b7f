"""StartupWebApp: one business, many forks, one codebase."""
