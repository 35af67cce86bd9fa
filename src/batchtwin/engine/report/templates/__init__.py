"""The templates, and what every page has: style, scripts, and the policy that allows these alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.engine.report import svg, text
from batchtwin.engine.report.distributions import ClassRow
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent


@cache
def template_environment() -> Environment:
    """Return the compiled templates. This takes longer than the rest of a report, so it can be called ahead."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def long(value: object, longest: int) -> Markup:
        return Markup("{}").format(text.show(value, longest))

    def ticks(value: object, longest: int) -> Markup:
        """Show text between backticks as code."""
        pieces = text.show(value, longest).split("`")
        if len(pieces) % 2 == 0:
            return long(value, longest)
        shapes = (Markup("<code>{}</code>") if number % 2 else Markup("{}") for number in range(len(pieces)))
        return Markup("").join(shape.format(piece) for shape, piece in zip(shapes, pieces, strict=True))

    def finalize(value: object) -> object:
        return text.show(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        cache_size=16,
    )
    templates.filters |= {
        "long": long,
        "ticks": ticks,
        "short": lambda value: text.show(value, 60),
        "count": text.count,
        "plural": text.plural,
        "seconds": text.seconds,
        "percent": text.percent,
        "instant": text.instant,
        "share_bar": _share_bar,
    }
    for name in sorted(TEMPLATES.glob("*.j2")):
        templates.get_template(name.name)
    return templates


@cache
def _asset(name: str) -> tuple[Any, str]:
    from markupsafe import Markup

    content = (TEMPLATES / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return Markup(content), digest  # noqa: S704 - a file of this package


def _share_bar(row: ClassRow) -> object:
    shapes = [svg.rect((0, 3), (row.share * 10, 8), "ok")] if row.share else []
    if row.before is not None:
        shapes.append(svg.rect((0, 12), (row.before * 10, 3), "start"))
    return svg.picture(shapes, 16, f"{row.percent}" + (f", before {row.before_percent}" if row.before_percent else ""))


@value_object
class Frame:
    """For a report that is a page of a server: `links` to other pages; `live` if it follows the job; `facts` has the
    addresses of pages about entries of "What ran where".
    """

    links: tuple[tuple[str, str], ...] = ()
    live: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)


def frame_context(frame: Frame) -> dict[str, object]:
    """Return the context of every page: its style, its scripts, and the policy that allows only these."""
    style, style_hash = _asset("style.css")
    script, script_hash = _asset("script.js")
    live, live_hash = _asset("live.js")
    scripts = f"'sha256-{script_hash}'" + (f" 'sha256-{live_hash}'; connect-src 'self'" if frame.live else "")
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'; "
    policy += f"style-src 'sha256-{style_hash}'; script-src {scripts}"
    return {"style": style, "script": script, "live": live, "policy": _markup(policy), "frame": frame}


def _markup(text: str) -> object:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - of hashes alone
