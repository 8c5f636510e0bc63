"""What is only counted: requests by kind and outcome. What follows from tasks is in report.py."""

from collections import Counter


class Tally:
    """Counts since the process started or was reset."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start again from nothing."""
        self.submits: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        self.downloads: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.answers_without_urls: Counter[str] = Counter()
