"""How the documentation is built; ``make lint`` builds it with warnings as errors."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Flask-ForeignToken"
author = "the authors of Flask-ForeignToken"
project_copyright = author
version = release = version_of("Flask-ForeignToken")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "generated"]
# What is measured is written there, and included by the pages that say what it means.
exclude_patterns = ["_build", "benchmarks"]

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sourcelink = False
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

default_role = "literal"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

# Every name of ours must lead somewhere. Other projects' names stay plain text: the build asks no network for theirs.
nitpicky = True
# Type variables, and what has no place on a page.
nitpick_ignore = [
    ("py:class", "flask_foreign_token.decorators.View"),
    ("py:class", "flask_foreign_token.extension.Asked"),
    ("py:class", "flask_foreign_token.extension.MakesUsers"),
    ("py:class", "flask_foreign_token.policies.request.RequestFacts"),
    ("py:class", "flask_foreign_token.policies.sql.database.Database"),
    ("py:class", "Scalar"),
]
nitpick_ignore_regex = [
    ("py:.*", r"(flask|flask_sqlalchemy|werkzeug|sqlalchemy|joserfc|blinker|click|cachelib|collections|typing)(\..*)?"),
]
