"""What can be wrong with an advertisement, or with what a browser reports."""

from webapp.core.errors import DomainError, NotFound


class UnreadableEvents(DomainError):
    code = "events_unreadable"
    status = 422

    def __init__(self) -> None:
        super().__init__("These events are not of the kind this shop records.")


class NoSuchAd(NotFound):
    code = "ad_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such advertisement.")


class InvalidAd(DomainError):
    code = "ad_invalid"


class AdCodeTaken(DomainError):
    code = "ad_code_taken"
    status = 409

    def __init__(self, code: str) -> None:
        super().__init__(f"There is an advertisement with the code {code!r} already.")


class NoSuchLeavingLink(NotFound):
    code = "leaving_link_not_found"

    def __init__(self) -> None:
        super().__init__(
            "This link is not complete. Copy it whole from the mail and try again, or answer the "
            "mail: a person will take your address off the list."
        )


class NoSuchPage(NotFound):
    code = "mail_page_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such mail to read here. It may have been taken back.")


class NotOneClick(DomainError):
    code = "not_one_click"

    def __init__(self) -> None:
        super().__init__("Open this link in a browser and press the button there to unsubscribe.")


class InvalidCampaignSettings(DomainError):
    code = "campaign_settings_invalid"


class NoSuchEmail(NotFound):
    code = "email_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such email.")


class InvalidEmail(DomainError):
    """What was written can't be kept as it stands; the sentence names the field."""

    code = "email_invalid"


class EmailTooBig(DomainError):
    code = "email_too_big"
    status = 413


class UnreadableBody(DomainError):
    """The body is not in the format it is said to be in; the sentence names the line."""

    code = "email_body_unreadable"
    status = 422


class WrongEmailState(DomainError):
    """Too late, too early, or a second press."""

    code = "email_state_wrong"
    status = 409


class EmailChangedMeanwhile(DomainError):
    code = "email_changed_meanwhile"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "Somebody else saved this email while you were writing. Copy your words, open it "
            "again and put them in."
        )


class EmailNotReady(DomainError):
    """Checks found errors; the sentence holds what each of them says."""

    code = "email_not_ready"
    status = 422


class NotApproved(DomainError):
    code = "email_not_approved"
    status = 409


class NoSuchPerson(NotFound):
    code = "person_not_found"

    def __init__(self) -> None:
        super().__init__("Nobody with this address is a member or a prospect.")


class InvalidRules(DomainError):
    code = "rules_invalid"
    status = 422


class NoSuchAudience(NotFound):
    code = "audience_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such audience.")


class InvalidAudience(DomainError):
    code = "audience_invalid"


class AudienceNameTaken(DomainError):
    code = "audience_name_taken"
    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"There is an audience named {name!r} already.")


class AudienceInUse(DomainError):
    code = "audience_in_use"
    status = 409


class LinksUnavailable(DomainError):
    code = "links_unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("We can't look up where this link leads just now. Try it again.")


class NotSendable(DomainError):
    """It can't be sent as things stand; the sentence says what to wait for or to change."""

    code = "email_not_sendable"
    status = 409


class NoSuchSequence(NotFound):
    code = "sequence_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such sequence, or no such step of one.")


class InvalidSequence(DomainError):
    code = "sequence_invalid"
    status = 422


class SequenceNameTaken(DomainError):
    code = "sequence_name_taken"
    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a sequence named {name!r} already.")


class SequenceIsActive(DomainError):
    code = "sequence_active"
    status = 409

    def __init__(self) -> None:
        super().__init__("The sequence is switched on. Switch it off to change its mails.")


class InvalidTag(DomainError):
    code = "tag_invalid"


class UnreadableImport(DomainError):
    """The file as a whole can't be read; the sentence says why."""

    code = "import_unreadable"
    status = 422


class ImportTooBig(DomainError):
    code = "import_too_big"
    status = 413
