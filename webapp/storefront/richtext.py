"""Product texts come from files and forms: this makes them safe to show as HTML."""

from functools import lru_cache

import nh3
from markupsafe import Markup

# No img: pages load pictures from this shop alone (Content-Security-Policy).
ALLOWED = (
    "a abbr b blockquote br caption cite code dd del div dl dt em h2 h3 h4 h5 h6 hr i ins kbd li"
    " mark ol p pre q s small span strong sub sup table tbody td tfoot th thead tr u ul"
)
TAGS = set(ALLOWED.split())
ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
}
SCHEMES = {"http", "https", "mailto", "tel"}


@lru_cache(maxsize=2048)
def clean_html(text: str) -> Markup:
    """Return ``text`` with the harmless part of its HTML kept and everything else taken out.

    Kept by content: a description is read many times between two changes.
    """
    cleaned = nh3.clean(
        text,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener nofollow",
    )
    return Markup(cleaned)  # noqa: S704 - nh3 has just cleaned it


@lru_cache(maxsize=2048)
def summary(text: str, length: int = 155) -> str:
    """Return the words of an HTML text, cut at a word to ``length`` for search engines."""
    words = " ".join(Markup(text).striptags().split())  # noqa: S704 - the result is plain text
    if len(words) <= length:
        return words
    return words[: length - 1].rsplit(" ", 1)[0].rstrip(",;:.") + "…"
