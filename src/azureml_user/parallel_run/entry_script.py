"""What a scoring script may ask about the job that runs it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

FORMAT = "%(asctime)s|%(levelname)s|%(process)d|%(message)s"


class EntryScript:
    """Logger and folders of the running worker.

    Raises:
        RuntimeError: outside a worker, where there is no job to ask about.
    """

    def __init__(self) -> None:
        try:
            self._log = Path(os.environ["BATCHTWIN_ENTRY_LOG"])
            self._level = os.environ["BATCHTWIN_LOGGING_LEVEL"]
            self._code = os.environ["BATCHTWIN_CODE_DIR"]
        except KeyError:
            raise RuntimeError(
                "EntryScript works in a scoring script, inside a batch job; see `batchtwin score`"
            ) from None

    @property
    def logger(self) -> logging.Logger:
        """Writes to `logs/user/entry_script_log/<node>/<process>.log.txt`, from the deployment's `logging_level` up."""
        logger = logging.getLogger("azureml_user.entry_script")
        if not logger.handlers:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(self._log, encoding="utf-8")
            handler.setFormatter(logging.Formatter(FORMAT))
            logger.addHandler(handler)
            logger.setLevel(self._level)
            logger.propagate = False
        return logger

    @property
    def log_dir(self) -> str:
        """The folder of the user's logs."""
        return str(self._log.parent.parent.parent)

    @property
    def output_dir(self) -> str:
        """The job's output folder, as AZUREML_BI_OUTPUT_PATH names it."""
        return os.environ["AZUREML_BI_OUTPUT_PATH"]

    @property
    def working_dir(self) -> str:
        """The code folder [R]."""
        return self._code

    @property
    def dir(self) -> str:
        """The code folder."""
        return self._code
