"""The text part, made of the HTML: what a reader without HTML, or a screen reader, is given."""

import re

from selectolax.lexbor import LexborNode

PARTS = frozenset({"p", "table", "div", "section", "article", "header", "footer"})
GAPS = PARTS | {f"h{level}" for level in range(1, 7)}
LINES = frozenset({"tr", "li", "dt", "dd", "caption", "address", "body", "center"})
SKIPPED = frozenset({"head", "style", "title", "script"})
INLINE = frozenset({"strong", "b", "em", "i", "span", "u", "font", "big", "small"})
HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
# What senders fill preheaders with: joiners, soft hyphens, spaces without width.
UNSEEN = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\u2007\ufeff]")
SPACE = re.compile(r"[ \t\r\n\f\u00a0]+")


def plain_text(root: LexborNode) -> str:
    """Return the words of ``root``: paragraphs apart, lists with dashes, links with addresses."""
    writer = _Writer()
    writer.walk(root)
    writer.end_line()
    return "\n".join(writer.lines).strip()


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line = ""
        self._indent = ""
        self._bullet = ""
        self._counts: list[int | None] = []
        self._as_is = False

    def walk(self, node: LexborNode) -> None:
        if node.is_text_node:
            self._write(node.text_content or "")
            return
        tag = node.tag or ""
        if node.is_comment_node or tag in SKIPPED or _is_hidden(node):
            return
        special = getattr(self, f"_on_{tag}", None)
        if special is not None:
            special(node)
        elif tag in GAPS:
            self._gap()
            self._children(node)
            self._gap()
        elif tag in LINES:
            self.end_line()
            self._children(node)
            self.end_line()
        else:
            self._children(node)

    def end_line(self) -> None:
        words = self._line.strip("\n") if self._as_is else self._line.strip()
        self._line = ""
        if not words:
            return
        for number, line in enumerate(words.split("\n")):
            start = self._indent[: -len(self._bullet)] if self._bullet else self._indent
            bullet = self._bullet if number == 0 else ""
            self._bullet = ""
            self.lines.append(f"{start}{bullet}{line}".rstrip())

    def _children(self, node: LexborNode) -> None:
        child = node.first_child
        while child is not None:
            self.walk(child)
            child = child.next

    def _write(self, words: str) -> None:
        words = UNSEEN.sub("", words)
        if not self._as_is:
            words = SPACE.sub(" ", words)
            if self._line.endswith((" ", "\n")) or not self._line:
                words = words.lstrip(" ")
        self._line += words

    def _gap(self) -> None:
        self.end_line()
        if self.lines and self.lines[-1] and not self._bullet:
            self.lines.append("")

    def _on_br(self, _node: LexborNode) -> None:
        self._line = self._line.rstrip(" ") + "\n"

    def _on_hr(self, _node: LexborNode) -> None:
        self._gap()
        self.lines += ["----", ""]

    def _on_img(self, node: LexborNode) -> None:
        self._write(node.attributes.get("alt") or "")

    def _on_td(self, node: LexborNode) -> None:
        self._children(node)
        self._write(" ")

    _on_th = _on_td

    def _on_pre(self, node: LexborNode) -> None:
        self._gap()
        self._as_is = True
        self._children(node)
        self.end_line()
        self._as_is = False
        self._gap()

    def _on_blockquote(self, node: LexborNode) -> None:
        self._gap()
        self._indent += "> "
        self._children(node)
        self.end_line()
        self._indent = self._indent[:-2]
        self._gap()

    def _on_ul(self, node: LexborNode) -> None:
        self._list(node, None)

    def _on_ol(self, node: LexborNode) -> None:
        start = node.attributes.get("start") or ""
        self._list(node, int(start) if start.isdecimal() and len(start) < 6 else 1)

    def _list(self, node: LexborNode, first: int | None) -> None:
        if self._counts:
            self.end_line()
        else:
            self._gap()
        self._counts.append(first)
        self._children(node)
        self._counts.pop()
        if not self._counts:
            self._gap()

    def _on_li(self, node: LexborNode) -> None:
        self.end_line()
        count = self._counts[-1] if self._counts else None
        bullet = "- " if count is None else f"{count}. "
        if count is not None:
            self._counts[-1] = count + 1
        self._bullet = bullet
        self._indent += " " * len(bullet)
        self._children(node)
        self.end_line()
        self._bullet = ""
        self._indent = self._indent[: -len(bullet)]
        while self.lines and not self.lines[-1]:
            self.lines.pop()

    def _on_a(self, node: LexborNode) -> None:
        href = (node.attributes.get("href") or "").strip()
        words = words_of(node)
        leads = href.removeprefix("mailto:").removeprefix("tel:").partition("?")[0]
        is_page = leads == href.partition("?")[0]
        target = href if is_page else leads
        if not target or target.startswith("#") or target == words:
            self._write(words or ("" if target.startswith("#") else target))
        elif not words or re.match(r"https?://", words):
            self._write(target)
        elif _stands_alone(node):
            self._write(f"{words}: {target}")
        else:
            self._write(f"{words} <{target}>")


def words_of(node: LexborNode) -> str:
    """Return what can be read on a link: its words, or what its pictures show."""
    words = SPACE.sub(" ", UNSEEN.sub("", node.text(deep=True))).strip()
    if words:
        return words
    shown = (picture.attributes.get("alt") or "" for picture in node.css("img"))
    return SPACE.sub(" ", " ".join(shown)).strip()


def _stands_alone(node: LexborNode) -> bool:
    """Say whether a link is all there is in its block. It looks no further than it must."""
    here: LexborNode | None = node
    while here is not None:
        if _has_words(here, "prev") or _has_words(here, "next"):
            return False
        here = here.parent
        if here is None or here.tag not in INLINE:
            return True
    return True


def _has_words(node: LexborNode, side: str) -> bool:
    beside: LexborNode | None = getattr(node, side)
    while beside is not None:
        if beside.tag == "br":
            return False
        if not beside.is_comment_node and (beside.tag == "img" or beside.text(deep=True).strip()):
            return True
        beside = getattr(beside, side)
    return False


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return "hidden" in attributes or bool(HIDDEN.search(attributes.get("style") or ""))
