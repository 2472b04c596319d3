"""Templates of the pages, and how numbers are written in them."""

from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from atoll_worker.report.document import Spread

_HERE = "atoll_worker.report"


def render(template: str, **values: object) -> str:
    """Fill in a template of this package; text is escaped, `Markup` is not."""
    return _template(template).render(**values)


@cache
def _template(name: str) -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "number": number,
        "signed": signed,
        "spread": spread,
        "short": short,
        "bytes": byte_count,
        "words": words,
        "titled": titled,
    }
    environment.globals["style"] = Markup(_text("style.css"))  # noqa: S704 (our own file)
    return environment.from_string(_text(name))


def _text(name: str) -> str:
    return resources.files(_HERE).joinpath(name).read_text("utf-8")


def number(value: float | None, digits: int = 3) -> str:
    """With so many digits after the point; a dash for none."""
    return "\N{EM DASH}" if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """A difference; a dash for none."""
    return "\N{EM DASH}" if value is None else f"{value:+,.{digits}f}"


def spread(value: Spread, digits: int = 3) -> str:
    """A mean and its standard deviation."""
    return f"{value.mean:.{digits}f} ± {value.sd:.{digits}f}"


def short(digest: str) -> str:
    """The beginning of a digest."""
    return digest[:19] + "…" if len(digest) > 20 else digest


def words(name: str) -> str:
    """A name in camelCase as words."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def titled(name: str) -> str:
    """A name in CamelCase as the words of a title: `Holdout loss`."""
    return words(name[:1].lower() + name[1:]).capitalize()


def byte_count(value: int | None) -> str:
    """In the unit that suits it; None is not measured."""
    if value is None:
        return "not measured"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} B"
