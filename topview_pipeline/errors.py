"""The base class of every error that a person can fix: commands, ops and sensors catch this one.

Every other exception is a bug and keeps its traceback.
"""


class PipelineError(Exception):
    """Something that a person can fix; `str()` is one or two sentences without a secret.

    Attributes:
        what: What is wrong, without a full stop.
        where: The file, row, setting, URL or step; empty when `what` names it.
        fix: How to fix it, as a sentence; empty when `what` says it.
    """

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        end = "" if not self.fix else f" {self.fix}" if self.what.endswith(".") else f". {self.fix}"
        return f"{place}{self.what}{end}"
