"""What every page that Tunesmith shows in a browser is made of: the style, the templates, the rules of safety."""

from tunesmith.pages.environment import make_environment, make_policy, read_style, style_source

__all__ = ["make_environment", "make_policy", "read_style", "style_source"]
