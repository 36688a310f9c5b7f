"""How this fork writes to many people."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.core.db import Base


class CampaignSettings(Base):
    """The fork's habits; the table has at most one row, and none means the defaults.

    ``approval``: a second person approves before a mail is ready. ``time_zone`` (IANA) is that of
    recipients whose own is not known. ``embed_origins`` are other sites, one a line, that may
    show the newsletter form.
    """

    __tablename__ = "campaign_settings"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    approval: Mapped[bool] = mapped_column(default=False)
    double_opt_in: Mapped[bool] = mapped_column(default=True)
    utm: Mapped[bool] = mapped_column(default=True)
    archive: Mapped[bool] = mapped_column(default=True)
    time_zone: Mapped[str] = mapped_column(default="UTC")
    embed_origins: Mapped[str] = mapped_column(default="")


class TrackingOptOut(Base):
    """An address whose opens and clicks are not recorded: its mails carry plain links."""

    __tablename__ = "tracking_opt_out"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_folded"),)

    email: Mapped[str] = mapped_column(primary_key=True)
