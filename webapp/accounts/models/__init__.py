"""Who somebody is, how they prove it, and what they agreed to."""

from webapp.accounts.models.contact import ContactMessage, ContactState
from webapp.accounts.models.credentials import (
    IdentityProvider,
    LinkedIdentity,
    Passkey,
    RecoveryCode,
    Totp,
)
from webapp.accounts.models.people import (
    Address,
    Member,
    PersonNote,
    Prospect,
    ProspectSource,
    Role,
    User,
)
from webapp.accounts.models.privacy import DataExport, EmailChange, Erasure, ExportState
from webapp.accounts.models.sessions import LoginMethod, LoginSession, SessionEnd
from webapp.accounts.models.terms import TermsAgreement, TermsOfUse

__all__ = [
    "Address",
    "ContactMessage",
    "ContactState",
    "DataExport",
    "EmailChange",
    "Erasure",
    "ExportState",
    "IdentityProvider",
    "LinkedIdentity",
    "LoginMethod",
    "LoginSession",
    "Member",
    "Passkey",
    "PersonNote",
    "Prospect",
    "ProspectSource",
    "RecoveryCode",
    "Role",
    "SessionEnd",
    "TermsAgreement",
    "TermsOfUse",
    "Totp",
    "User",
]
