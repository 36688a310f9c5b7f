"""A fork's colour, turned into one that text can be read on, in daylight and in the dark."""

import colorsys
import re

HEX = re.compile(r"#[0-9a-fA-F]{6}")
PAPER, DARK_PAPER = "#fbfaf7", "#151412"
WHITE, INK = "#ffffff", "#14110d"
# WCAG 2.2: 4.5 for text (1.4.3), 3 for the edge of a button against the page (1.4.11).
TEXT, EDGE = 4.5, 3.0
STEPS = 100


def brand_css(accent: str) -> str:
    """Return the custom properties app.css expects; none for a colour that isn't ``#rrggbb``."""
    if not HEX.fullmatch(accent):
        return ":root{}\n"
    light, on_light = _fill(accent, PAPER, (WHITE, INK), lighter=False)
    dark, on_dark = _fill(accent, DARK_PAPER, (INK, WHITE), lighter=True)
    return (
        f":root{{--accent:{light};--on-accent:{on_light};"
        f"--accent-dark:{dark};--on-accent-dark:{on_dark}}}\n"
    )


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast ratio of two colours, 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _fill(accent: str, page: str, inks: tuple[str, str], *, lighter: bool) -> tuple[str, str]:
    """Return the nearest shade of ``accent`` that stands off the page, and the ink to put on it."""
    for step in range(STEPS + 1):
        shade = _shade(accent, step / STEPS, lighter=lighter)
        if contrast(shade, page) < EDGE:
            continue
        for ink in inks:
            if contrast(shade, ink) >= TEXT:
                return shade, ink
    return inks[1], inks[0]


def _shade(colour: str, amount: float, *, lighter: bool) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    end = 1.0 if lighter else 0.0
    parts = colorsys.hls_to_rgb(hue, lightness + (end - lightness) * amount, saturation)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
