"""The articles: files with a front matter, like many a small CMS has them.

The first paragraph is public (the opening every reader and search engine sees); what follows is the paid text of a
metered or premium article and leaves this process only with a grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

FOLDER = Path(__file__).parent / "articles"
ACCESS = ("free", "metered", "premium")
SECTIONS = {
    "thoi-su": "Thời sự",
    "kinh-te": "Kinh tế",
    "van-hoa": "Văn hóa",
    "the-thao": "Thể thao",
    "giao-duc": "Giáo dục",
    "suc-khoe": "Sức khỏe",
}


@dataclass(frozen=True, slots=True)
class Article:
    """One article. ``blocks`` are paragraphs; ``## `` begins a heading, ``> `` a quotation."""

    id: str
    title: str
    summary: str
    section: str
    access: str
    author: str
    art: str
    art_caption: str
    tags: tuple[str, ...]
    published_at: datetime
    blocks: tuple[str, ...]

    @property
    def is_free(self) -> bool:
        return self.access == "free"

    @property
    def path(self) -> str:
        return f"/bai/{self.id}"

    @property
    def section_name(self) -> str:
        return SECTIONS[self.section]

    @property
    def opening(self) -> Markup:
        """What everybody may read."""
        return _html(self.blocks[:1])

    @property
    def text(self) -> Markup:
        """The whole article: for a page only when it is free, otherwise only for a grant."""
        return _html(self.blocks)

    @property
    def minutes(self) -> int:
        """Reading time at 220 words a minute."""
        return max(1, round(sum(len(block.split()) for block in self.blocks) / 220))


def _html(blocks: tuple[str, ...]) -> Markup:
    return Markup("\n").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    for mark, tag in (("## ", "h2"), ("> ", "blockquote")):
        if block.startswith(mark):
            return Markup("<{0}>{1}</{0}>").format(tag, block[len(mark) :])
    return Markup("<p>{}</p>").format(block)


def read_article(path: Path) -> Article:
    """Raises ``ValueError`` naming the file when its front matter is not right."""
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    fields: dict[str, Any] = {}
    for line in head.strip().splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    fields["tags"] = tuple(tag.strip() for tag in fields["tags"].split(","))
    fields["published_at"] = datetime.fromisoformat(fields["published_at"])
    blocks = tuple(" ".join(part.split()) for part in body.split("\n\n") if part.strip())
    article = Article(id=path.stem, blocks=blocks, **fields)
    if article.access not in ACCESS or article.section not in SECTIONS:
        raise ValueError(f"{path.name}: access is one of {ACCESS}, section one of {[*SECTIONS]}")
    return article


def read_articles(folder: Path = FOLDER) -> dict[str, Article]:
    """Every article by id, the newest first."""
    found = [read_article(path) for path in sorted(folder.glob("*.md"))]
    found.sort(key=lambda article: article.published_at, reverse=True)
    return {article.id: article for article in found}
