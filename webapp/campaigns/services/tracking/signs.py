"""What tells by itself that nobody was reading: who asks, from where, and how.

Published: Apple's 17.0.0.0/8 and the bare agent of its privacy protection; the networks that mail
security services send and fetch from (their own pages on what to let through a firewall). Those
that change by the week, like SafeLinks' in Azure, can only be told by their behaviour.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

import crawleruseragents

from webapp.campaigns.models import TrackingKind

# These fetch a picture when a reader opens the mail: the one request we get to see of it.
PROXIES = re.compile(r"GoogleImageProxy|YahooMailProxy|DuckDuckGo-Email")
GOOGLE = re.compile(r"GoogleImageProxy")
# Programs that check mails, which crawler-user-agents doesn't list.
SCANNERS = re.compile(
    r"barracuda|proofpoint|urldefense|mimecast|safelinks|ironport|cisco[- ]?secure|fireeye|trellix"
    r"|trend ?micro|symantec|messagelabs|bitdefender|sophos|kaspersky|fortimail|fortiguard|avanan"
    r"|mailguard|vade|hornet|retarus|microsoft url preview|linkcheck|link-?preview|urlscan|headless"
    r"|^java/|^ruby|^perl|^php|^microsoft-wns|^dispatch/|winhttp|libfetch",
    re.IGNORECASE,
)
# Apple Mail's privacy protection: this, and not a letter more.
APPLE = "Mozilla/5.0"
APPLE_NETWORK = ip_network("17.0.0.0/8")
SECURITY_NETWORKS = [
    ip_network(each)
    for each in (
        # Barracuda
        "64.235.144.0/20",
        "209.222.80.0/21",
        # Cisco
        "68.232.128.0/19",
        "139.138.32.0/19",
        "184.94.240.0/20",
        "207.54.64.0/19",
        "216.71.128.0/19",
        # Mimecast
        "91.220.42.0/24",
        "146.101.78.0/24",
        "170.10.128.0/21",
        "185.58.84.0/22",
        "205.139.110.0/23",
        "207.211.30.0/23",
        "216.205.24.0/24",
        # Proofpoint
        "67.231.144.0/20",
        "148.163.128.0/19",
        "185.132.180.0/22",
        "205.220.160.0/19",
    )
]


def is_head(method: str) -> bool:
    return method != "GET"


@lru_cache(maxsize=4096)
def sign_of(kind: TrackingKind, agent: str, network: str) -> str:
    """Return what gives a machine away in one request; empty if nothing does."""
    if not agent.strip():
        return "no_agent"
    if kind is TrackingKind.OPEN and PROXIES.search(agent):
        return ""
    if kind is TrackingKind.OPEN and (agent == APPLE or _is_within(network, [APPLE_NETWORK])):
        return "apple_prefetch"
    if SCANNERS.search(agent) or crawleruseragents.is_crawler(agent):
        return "agent"
    if agent == APPLE:
        return "agent"
    return "network" if _is_within(network, SECURITY_NETWORKS) else ""


def is_google(agent: str) -> bool:
    """Whether Gmail fetched a picture for somebody, as it does when a mail is opened."""
    return GOOGLE.search(agent) is not None


def _is_within(network: str, known: list[IPv4Network | IPv6Network]) -> bool:
    if not network or ":" in network:
        return False
    part = IPv4Network(network)
    return any(isinstance(each, IPv4Network) and part.subnet_of(each) for each in known)
