"""How every page is rendered: from the templates here, all text escaped, a missing value an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment() -> Environment:
    """Return the templates' environment, which a page adds its own filters and globals to."""
    return Environment(
        loader=PackageLoader("radlet.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
