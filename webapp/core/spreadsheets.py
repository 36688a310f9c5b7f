"""Cells of CSV files that people open in a spreadsheet program, which would run some of them."""

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def defused(cell: str) -> str:
    """Return a cell as text that no spreadsheet takes for a formula: with an apostrophe before."""
    return f"'{cell}" if _is_risky(cell) else cell


def as_it_was(cell: str) -> str:
    """Return what ``defused`` was given: without the apostrophe it put there."""
    return cell[1:] if cell.startswith("'") and _is_risky(cell) else cell


def _is_risky(cell: str) -> bool:
    """What only looks defused is defused once more, so that nothing is lost on the way back."""
    return cell.lstrip("'").startswith(FORMULA)
