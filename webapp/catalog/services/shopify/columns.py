"""The columns of Shopify's product CSV: which there are and which of them we model."""

HANDLE = "Handle"

# In the order Shopify exports them.
STANDARD = (
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Type",
    "Tags",
    "Published",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Option3 Name",
    "Option3 Value",
    "Variant SKU",
    "Variant Grams",
    "Variant Inventory Tracker",
    "Variant Inventory Qty",
    "Variant Inventory Policy",
    "Variant Fulfillment Service",
    "Variant Price",
    "Variant Compare At Price",
    "Variant Requires Shipping",
    "Variant Taxable",
    "Variant Barcode",
    "Image Src",
    "Image Position",
    "Image Alt Text",
    "Gift Card",
    "SEO Title",
    "SEO Description",
    "Google Shopping / Google Product Category",
    "Google Shopping / Gender",
    "Google Shopping / Age Group",
    "Google Shopping / MPN",
    "Google Shopping / AdWords Grouping",
    "Google Shopping / AdWords Labels",
    "Google Shopping / Condition",
    "Google Shopping / Custom Product",
    "Google Shopping / Custom Label 0",
    "Google Shopping / Custom Label 1",
    "Google Shopping / Custom Label 2",
    "Google Shopping / Custom Label 3",
    "Google Shopping / Custom Label 4",
    "Variant Image",
    "Variant Weight Unit",
    "Variant Tax Code",
)
STATUS = "Status"

MODELLED = frozenset(
    name for name in (*STANDARD, STATUS) if not name.startswith("Google Shopping / ")
)
OF_PRODUCT = (
    "Title",
    "Body (HTML)",
    "Vendor",
    "Type",
    "Tags",
    "Published",
    "Gift Card",
    "SEO Title",
    "SEO Description",
    "Status",
)
OPTION_NAMES = ("Option1 Name", "Option2 Name", "Option3 Name")
OPTION_VALUES = ("Option1 Value", "Option2 Value", "Option3 Value")
OF_VARIANT = frozenset(name for name in STANDARD if name.startswith(("Option", "Variant ")))
OF_IMAGE = ("Image Src", "Image Position", "Image Alt Text")

# Cells whose text says more than we model are kept too and written again while they still agree
# with the catalogue: a product may be unpublished in two ways, a weight may have decimals.
KEPT_AS_WRITTEN = frozenset({"Published", STATUS, "Variant Grams"})

# The key in a product's ``extra`` for cells of rows that have a picture and no variant, by the
# picture's position. Shopify has no column of this name.
IMAGE_ROWS = "(rows with a picture only)"

DEFAULT_OPTION = "Title"
DEFAULT_VALUE = "Default Title"

_VARIANT_LEVEL = ("Variant ", "Cost per item", "Price / ", "Compare At Price / ", "Included / ")


def is_of_variant(column: str) -> bool:
    """Return whether a column we don't model tells something of the variant, not the product."""
    return column.startswith(_VARIANT_LEVEL)
