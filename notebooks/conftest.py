"""A lesson that needs an extra is collected only where that is installed."""

from helpers.lessons.notebooks import missing_extra, notebook_paths

collect_ignore = [str(path) for path in notebook_paths() if missing_extra(path)]
