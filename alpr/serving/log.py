"""The log of a server: one JSON object to a line on stderr, without what was read unless it was asked for."""

from __future__ import annotations

import datetime
import json
import logging
import sys

_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """A record as a JSON object: time, level, event, and whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= {key: value for key, value in vars(record).items() if key not in _OWN and key != "color_message"}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Stderr(logging.Handler):
    """Writes to what stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def log_as_json(level: int = logging.INFO) -> None:
    """Sends the log of the server, and uvicorn's warnings, to stderr."""
    handler = _Stderr()
    handler.setFormatter(JsonLines())
    for name, least in (("alpr.serving", level), ("uvicorn", logging.CRITICAL), ("python_multipart", logging.CRITICAL)):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [handler], False
        logger.setLevel(least)
