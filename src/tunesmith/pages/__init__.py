"""What every page that Tunesmith shows in a browser is made of: the style, the templates, the rules of safety."""

from tunesmith.pages.environment import (
    GENERATOR,
    is_ours,
    make_environment,
    make_policy,
    read_style,
    style_source,
)
from tunesmith.pages.texts import visible

__all__ = ["GENERATOR", "is_ours", "make_environment", "make_policy", "read_style", "style_source", "visible"]
