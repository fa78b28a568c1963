"""Pieces of a self-contained HTML page; every text is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

_TEMPLATE = Path(__file__).with_name("report.html")


def page(title: str, banner: str, body: str, footer: str) -> str:
    """The whole page.

    Args:
        title: plain text.
        banner: HTML above everything.
        body: HTML of the sections.
        footer: plain text.
    """
    template = Template(_TEMPLATE.read_text("utf-8"))
    return template.substitute(title=escape(title), banner=banner, body=body, footer=escape(footer))


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, with a class of the style sheet if wanted."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def bullets(texts: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    text_columns: int = 1,
    notes: bool = False,
) -> str:
    """A table whose first cell of each row is its heading.

    Args:
        headings: of the columns.
        rows: texts, as many as headings; a line end in a text begins a new line.
        caption: above the table.
        text_columns: so many columns at the left hold words, the others numbers.
        notes: whether the last column holds words, too.
    """
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    lines = []
    for row in rows:
        cells = [f'<th scope="row">{escape(row[0])}</th>']
        for number, text in enumerate(row[1:], start=1):
            words = number < text_columns or (notes and number == len(headings) - 1)
            cells.append(f"<td{_class('text' if words else '')}>{_lines(text)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "\n".join(lines)
    return f'<div class="scroll"><table>{above}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def picture(path: Path, caption: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(caption, quote=True)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def details(title: str, content: str) -> str:
    """Something that is folded away until it is wanted."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def said(sentences: Iterable[tuple[str, str, str]]) -> str:
    """Traffic-light sentences: (class, word, sentence). The word says what the colour says."""
    items = "".join(
        f"<li{_class(kind)}><b>{escape(word)}</b><span>{escape(sentence)}</span></li>"
        for kind, word, sentence in sentences
    )
    return f'<ul class="said">{items}</ul>'


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _class(kind: str) -> str:
    return f' class="{escape(kind, quote=True)}"' if kind else ""
