"""What carries questions over HTTP and answers back: no body is believed without end, and no answer leads elsewhere.

Headers may come as slowly as the timeout of the connection lets each piece of them.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from radlet.pacs.peers.base import AwayError, RefusedError

_CHUNK_BYTES = 64 * 1024
_LONGEST_MARK = 256
"""Of what parts a message (RFC 2046 5.1.1: 70 characters), with room for what is longer."""
_DICOM_TYPES = ("application/dicom+json", "application/json", "application/dicom+xml", "application/xml")


@dataclass(frozen=True)
class AnswerLimits:
    """How much an answer may be.

    Attributes:
        longest_films_s: How long one that holds films may take once it has begun; of others that is the peer's timeout.
        most_bytes: How long one without films may be.
        most_film_bytes: How long a part of a message of films may be.
        most_films_bytes: How long that message may be.
    """

    longest_films_s: float = 3600.0
    most_bytes: int = 16 * 2**20
    most_film_bytes: int = 256 * 2**20
    most_films_bytes: int = 4 * 2**30


class BoundedSession(requests.Session):  # type: ignore[misc]  # requests is not checked
    """A session whose answers end.

    Args:
        longest_answer_s: How long an answer without films may take once it has begun.
        limits: How much it may be.
    """

    def __init__(self, longest_answer_s: float, limits: AnswerLimits) -> None:
        super().__init__()
        # Neither proxies nor passwords of whoever started the process.
        self.trust_env = False
        # A small answer that unfolds in memory is no small one.
        self.headers["Accept-Encoding"] = "identity"
        self._longest_answer_s, self._limits = longest_answer_s, limits

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no other address: a page to log in at would else answer for what was posted."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Ask, and read the answer as far as it may go; one of films is read as it is used.

        Raises:
            AwayError: The answer does not end in time.
            RefusedError: It leads elsewhere, is too long, or is none to what was posted.
            requests.RequestException: There is none.
        """
        holds_films = bool(kwargs.get("stream"))
        response = super().send(request, **{**kwargs, "stream": True})
        if 300 <= response.status_code < 400:
            response.close()
            raise RefusedError(
                f"The peer sends whoever asks elsewhere (HTTP {response.status_code}). Give the url that answers."
            )
        if holds_films and response.ok:
            self._bound_films(response)
            return response
        content = bytearray()
        with _ending_within(self._longest_answer_s, response):
            for chunk in response.iter_content(_CHUNK_BYTES):
                content += chunk
                if len(content) > self._limits.most_bytes:
                    response.close()
                    raise RefusedError("The peer's answer is longer than any that DICOMweb knows.")
        response._content = bytes(content)
        # The client knows the types without what may follow them, such as the character set.
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        response.headers["Content-Type"] = kind
        if request.method == "POST" and response.ok and content and kind not in _DICOM_TYPES:
            raise RefusedError("The peer's answer is none of DICOMweb's. Is the url the root of its services?")
        return response

    def _bound_films(self, response: requests.Response) -> None:
        read = response.iter_content
        boundary = re.search(r'boundary="?([^";,]+)', response.headers.get("Content-Type", ""), re.IGNORECASE)
        mark = b"--" + boundary[1].strip().encode() if boundary else b""

        def iter_content(*_: Any, **__: Any) -> Iterator[bytes]:
            num_bytes = num_part_bytes = 0
            tail = b""
            with _ending_within(self._limits.longest_films_s, response):
                for chunk in read(_CHUNK_BYTES):
                    num_bytes += len(chunk)
                    # Where a part begins, what has come before is not in memory any more.
                    num_part_bytes = 0 if mark and mark in tail + chunk else num_part_bytes + len(chunk)
                    tail = chunk[-_LONGEST_MARK:]
                    if num_part_bytes > self._limits.most_film_bytes or num_bytes > self._limits.most_films_bytes:
                        response.close()
                        raise RefusedError("The peer's answer is longer than films are.")
                    yield chunk

        response.iter_content = iter_content


@contextmanager
def _ending_within(seconds: float, response: requests.Response) -> Iterator[None]:
    """Read an answer, but not for ever: one that drips is cut off."""
    until = time.monotonic() + seconds
    timer = threading.Timer(seconds, _cut_off, [response])
    timer.daemon = True
    timer.start()
    try:
        yield
    except requests.RequestException:
        if time.monotonic() < until:
            raise
    finally:
        timer.cancel()
    if time.monotonic() >= until:
        response.close()
        raise AwayError("The peer's answer did not end in time.")


def _cut_off(response: requests.Response) -> None:
    try:
        response.raw.shutdown()
    except (ValueError, RuntimeError, OSError):  # it has ended meanwhile
        return
