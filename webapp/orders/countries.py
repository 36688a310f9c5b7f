"""The countries a parcel can go to, by their names in the shop's language."""

from functools import lru_cache

from babel import Locale

# Territories of CLDR that Stripe does not ship to:
# https://docs.stripe.com/api/checkout/sessions/create (shipping_address_collection)
NOT_POSTAL = frozenset(
    {
        *("AS", "CC", "CP", "CQ", "CU", "CX", "DG", "EA", "EU", "EZ", "FM", "HM", "IC", "IR", "KP"),
        *("MH", "MP", "NF", "PW", "QO", "SD", "SY", "UM", "UN", "VI", "XA", "XB", "XK", "ZZ"),
    }
)

# Where the city stands before region and postal code:
# https://www.upu.int/en/Postal-Solutions/Programmes-Services/Addressing-Solutions
CITY_FIRST = frozenset(["US", "CA", "AU", "NZ", "GB", "IE", "IN", "SG", "ZA"])


@lru_cache(maxsize=8)
def country_names(locale: str) -> dict[str, str]:
    """Return ISO 3166-1 alpha-2 codes with their names in ``locale``. Not to be changed."""
    territories = Locale.parse(locale).territories.items()
    names = {str(code): str(name) for code, name in territories}
    return {code: name for code, name in names.items() if _postal(code)}


def _postal(code: str) -> bool:
    return len(code) == 2 and code.isalpha() and code not in NOT_POSTAL
