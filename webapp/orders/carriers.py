"""Where a parcel can be followed: the carriers' own tracking addresses."""

from urllib.parse import quote

# Each carrier's public tracking page, as printed on its own site.
ADDRESSES = {
    "dhl": "https://www.dhl.com/en/express/tracking.html?AWB={}",
    "fedex": "https://www.fedex.com/fedextrack/?trknbr={}",
    "ups": "https://www.ups.com/track?tracknum={}",
    "usps": "https://tools.usps.com/go/TrackConfirmAction?tLabels={}",
    "royal mail": "https://www.royalmail.com/track-your-item#/tracking-results/{}",
    "canada post": "https://www.canadapost-postescanada.ca/track-reperage/en#/details/{}",
    "dpd": "https://www.dpdgroup.com/nl/mydpd/my-parcels/search?parcelNumber={}",
    "gls": "https://gls-group.com/track/{}",
}
CARRIERS = ["DHL", "FedEx", "UPS", "USPS", "Royal Mail", "Canada Post", "DPD", "GLS"]


def tracking_url(carrier: str, tracking_number: str) -> str:
    """Return the carrier's page for a parcel, or an empty string for a carrier we don't know."""
    address = ADDRESSES.get(carrier.strip().lower())
    number = tracking_number.strip()
    return address.format(quote(number, safe="")) if address and number else ""
