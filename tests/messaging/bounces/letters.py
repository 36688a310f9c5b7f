"""Reports as mail servers write them, kept as files beside this one."""

from pathlib import Path

FOLDER = Path(__file__).with_name("fixtures")
# What stands for a code in the files: a campaign's, and a single mail's.
CAMPAIGN_CODE = "mfzwizlomv2gk3dmmvxgk43pnzsq2345"
MAIL_CODE = "Zk3vT-9qWmR_0aYc1LxBdg"


def report(name: str, code: str = CAMPAIGN_CODE) -> bytes:
    """Return a report about the mail with this code."""
    return (FOLDER / f"{name}.eml").read_bytes().replace(CAMPAIGN_CODE.encode(), code.encode())
