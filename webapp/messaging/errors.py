"""What can be wrong with a mail before anybody has tried to send it."""

from webapp.core.errors import DomainError, NotFound


class InvalidHeader(DomainError):
    """A header would have carried a control character: the way other headers are smuggled in."""

    code = "mail_header_invalid"

    def __init__(self, name: str) -> None:
        super().__init__(f"The mail's {name} holds a line break or another control character.")


class InvalidAddress(DomainError):
    """The address itself is never told: errors end up in logs."""

    code = "mail_address_invalid"

    def __init__(self, name: str) -> None:
        super().__init__(f"The mail's {name} is not an email address.")


class NoSuchMail(NotFound):
    code = "mail_not_found"

    def __init__(self, mail_id: int) -> None:
        super().__init__(f"There is no mail {mail_id}.")


class NotOver(DomainError):
    """Sending again what is sent, or still being sent, would make two of it."""

    code = "mail_not_over"
    status = 409

    def __init__(self, mail_id: int) -> None:
        super().__init__(
            f"Mail {mail_id} can't be sent again: "
            "only one that failed, was withheld or whose fate is unknown can."
        )


class BodyRemoved(DomainError):
    """It held a key to an account, and such a body is removed once it is sent."""

    code = "mail_body_removed"
    status = 409

    def __init__(self, mail_id: int) -> None:
        super().__init__(
            f"Mail {mail_id} held a key to an account, so its words are gone. "
            "Its recipient can ask for a new one on the shop's own pages."
        )


class InvalidSmtpUrl(DomainError):
    """The URL may hold a password and is therefore not repeated."""

    code = "smtp_url_invalid"
    status = 500

    def __init__(self) -> None:
        super().__init__(
            "SMTP_URL must look like smtp://host:25, smtp+starttls://user:password@host:587, "
            "smtps://user:password@host:465, file:///folder or null://."
        )


class NoSuchSuppression(NotFound):
    code = "suppression_not_found"

    def __init__(self) -> None:
        super().__init__("This address is not on the suppression list.")


class UnreadableSuppressions(DomainError):
    """The file as a whole can't be told apart into rows."""

    code = "suppressions_unreadable"
    status = 422


class AddressSuppressed(DomainError):
    code = "mail_address_suppressed"
    status = 409

    def __init__(self, mail_id: int) -> None:
        super().__init__(
            f"Mail {mail_id} can't be sent: its address is on the suppression list. "
            "Take it off that list first if its owner wants mail again."
        )


class NoSuchSender(NotFound):
    code = "sender_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such sender.")


class SenderOff(DomainError):
    code = "sender_off"
    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"The sender {name} is switched off. Choose another, or switch it on.")


class SenderTaken(DomainError):
    code = "sender_taken"
    status = 409

    def __init__(self) -> None:
        super().__init__("There is a sender with this address already.")


class InvalidSender(DomainError):
    code = "sender_invalid"


class InvalidDomainLimit(DomainError):
    code = "domain_limit_invalid"


class InvalidMailWebhook(DomainError):
    code = "mail_webhook_invalid"


class WebhookTooLarge(DomainError):
    code = "mail_webhook_too_large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit // 1024} KiB, or of unknown length.")


class NotReporting(NotFound):
    """Said as if there were nothing at this address: which provider a shop uses is its own."""

    code = "mail_webhook_off"

    def __init__(self) -> None:
        super().__init__("This shop takes no reports here.")


class ReportTooLarge(DomainError):
    code = "mail_report_too_large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The message is larger than {limit // 1024**2} MiB; no bounce or complaint is."
        )


class EmptyReport(DomainError):
    code = "mail_report_empty"

    def __init__(self) -> None:
        super().__init__("There is no message: nothing came in.")
