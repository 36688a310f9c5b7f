"""A browser's own description of itself, in words a person knows their devices by."""

from functools import lru_cache

import ua_parser


@lru_cache(maxsize=1000)
def describe(user_agent: str) -> str:
    """Return ``Firefox on Linux``; "Unknown device" where nothing can be told."""
    if not user_agent:
        return "Unknown device"
    found = ua_parser.parse(user_agent[:500])
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    return " on ".join(part for part in (browser, system) if part) or "Unknown device"
