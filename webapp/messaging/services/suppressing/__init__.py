"""The addresses that must not be written to: kept, asked for, brought in and handed out."""

from webapp.messaging.services.addresses import domain_of, folded
from webapp.messaging.services.suppressing.exporting import export_suppressions
from webapp.messaging.services.suppressing.importing import Report, import_suppressions
from webapp.messaging.services.suppressing.keeping import (
    forgive,
    is_suppressed,
    suppress,
    suppressed,
    unsuppress,
)

__all__ = [
    "Report",
    "domain_of",
    "export_suppressions",
    "folded",
    "forgive",
    "import_suppressions",
    "is_suppressed",
    "suppress",
    "suppressed",
    "unsuppress",
]
