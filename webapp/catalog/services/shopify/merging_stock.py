"""The staged stock into the catalogue."""

from webapp.catalog.services.shopify.checking import PROMISED_STOCK, find_problems
from webapp.catalog.services.shopify.merge import Merge
from webapp.catalog.services.shopify.report import Lines


def write_stock(merge: Merge, problems: Lines) -> None:
    wanted = _wanted_stock(merge)
    differs = """(i.tracked, i.backorder, i.on_hand, i.tracker)
        IS DISTINCT FROM (w.tracked, w.backorder, w.on_hand, w.tracker)"""
    source = f"""import_variant v JOIN sku_inventory i ON i.sku_id = v.sku_id
        CROSS JOIN LATERAL ({wanted}) w"""
    # In the order a checkout locks them, and before looking: a buyer may be reserving now.
    merge.do(f"SELECT 1 FROM {source} WHERE {differs} ORDER BY i.sku_id FOR UPDATE OF i")
    find_problems(problems, PROMISED_STOCK.format(wanted=wanted))
    if problems:
        return
    merge.do(f"""
        WITH changed AS (
            SELECT i.sku_id, v.product_id, v.number, v.line, i.on_hand AS before, w.*
            FROM {source} WHERE {differs}),
        written AS (
            UPDATE sku_inventory i SET tracked = c.tracked, backorder = c.backorder,
                   on_hand = c.on_hand, tracker = c.tracker
            FROM changed c WHERE c.sku_id = i.sku_id)
        INSERT INTO import_change
        SELECT number, line, CASE WHEN before <> on_hand
            THEN format('stock %s -> %s', before, on_hand)
            ELSE 'changed: how stock is tracked' END
        FROM changed
        """)


def _wanted_stock(merge: Merge) -> str:
    def either(column: str, given: str, kept: str) -> str:
        return given if column in merge.header else kept

    tracker = either("Variant Inventory Tracker", "v.tracker", "i.tracker")
    tracked = either("Variant Inventory Tracker", "v.tracker <> ''", "i.tracked")
    backorder = either("Variant Inventory Policy", "v.backorder", "i.backorder")
    on_hand = either("Variant Inventory Qty", "v.on_hand", "i.on_hand")
    return (
        f"SELECT {tracker} AS tracker, {tracked} AS tracked, {backorder} AS backorder, "
        f"{on_hand} AS on_hand"
    )
