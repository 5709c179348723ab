"""Another system, asked over DICOMweb: STOW-RS, QIDO-RS, WADO-RS (PS3.18 10)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Literal

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread, dcmwrite

from radlet.core.errors import ConfigError, RadletError
from radlet.data.quiet import quiet_libraries
from radlet.pacs.network_libraries import prepare_libraries
from radlet.pacs.peers.base import AwayError, FoundStudy, ObjectUids, OverloadedError, RefusedError
from radlet.pacs.peers.bounded_session import AnswerLimits, BoundedSession
from radlet.pacs.settings import WebPeer
from radlet.reading.certificates import check_authority

_BUSY = (408, 425, 429, 502, 503, 504)
"""HTTP status codes of a system that takes nothing at the moment."""
_FAILED = (500, 507)
"""HTTP status codes of a system that may take something else all the same."""
_OUT_OF_RESOURCES, _DUPLICATE = 0xA7, 0x0111
_FAILED_SOP_SEQUENCE, _FAILURE_REASON = "00081198", "00081197"


class WebClient:
    """Another system.

    Args:
        peer: Where it is.
        limits: How much its answers may be.

    Raises:
        ConfigError: The password or the certificate authority cannot be read.
    """

    def __init__(self, peer: WebPeer, limits: AnswerLimits = AnswerLimits()) -> None:  # noqa: B008 - never changed
        prepare_libraries()
        session = BoundedSession(peer.timeout_s, limits)
        session.headers["Accept"] = "application/dicom+json"
        if peer.user and peer.password_file:
            try:
                password = peer.password_file.read_text(encoding="utf-8").splitlines()[0]
            except (OSError, IndexError, UnicodeDecodeError):
                raise ConfigError("password_file of a peer cannot be read. Its first line is the password.") from None
            session.auth = (peer.user, password)
        if peer.tls_ca:
            check_authority("tls_ca", peer.tls_ca)
            session.verify = str(peer.tls_ca)
        self._client = DICOMwebClient(peer.url, session=session, timeout=peer.timeout_s)
        # The outbox waits and tries again, longer than a client would.
        self._client.set_http_retry_params(retry=False)

    def holds(self, uids: ObjectUids) -> bool | None:
        """Ask by QIDO-RS."""
        try:
            with _told():
                found = self._client.search_for_instances(search_filters={"SOPInstanceUID": uids.instance})
                return any(_value(one, "00080018") == uids.instance for one in found)
        except RefusedError:
            return None

    def send(self, content: bytes) -> None:
        """Send by STOW-RS."""
        with quiet_libraries():
            item = dcmread(BytesIO(content))
        with _told(), quiet_libraries():
            try:
                answer = self._client.store_instances([item])
                reasons = [
                    int(failed.get("FailureReason", 0)) for failed in (answer or {}).get("FailedSOPSequence", ())
                ]
            except requests.HTTPError as error:
                reasons = _failure_reasons(error.response)
                if not reasons:
                    raise
        for reason in reasons:
            # As for C-STORE (PS3.18 I.2.2): 0xA7xx, nothing else would fare better now; 0x0111, it is there already.
            if reason >> 8 == _OUT_OF_RESOURCES:
                raise OverloadedError(f"The peer is out of resources (reason {reason:#06x}).")
            if reason != _DUPLICATE:
                raise RefusedError(f"The peer refused the object (reason {reason:#06x}).")

    def studies_of(self, patient_id: str) -> list[FoundStudy]:
        """Ask by QIDO-RS."""
        with _told():
            found = self._client.search_for_studies(search_filters={"PatientID": patient_id}, fields=["00080061"])
            return [
                FoundStudy(
                    str(_value(one, "0020000D") or ""),
                    str(_value(one, "00100020") or ""),
                    str(_value(one, "00080020") or ""),
                    tuple(str(modality) for modality in one.get("00080061", {}).get("Value", ())),
                )
                for one in found
            ]

    def retrieve(
        self,
        study_uid: str,
        how: Literal["get", "move"],  # noqa: ARG002 - the web knows one way
        keep: Callable[[bytes], None],
    ) -> None:
        """Fetch by WADO-RS."""
        with _told(), quiet_libraries():
            for item in self._client.iter_study(study_uid):
                buffer = BytesIO()
                try:
                    dcmwrite(buffer, item, enforce_file_format=True)
                    keep(buffer.getvalue())
                except Exception:  # noqa: BLE001, S112 - this film alone is refused; why is the keeper's to tell
                    continue


@contextmanager
def _told() -> Iterator[None]:
    """Say in radlet's words what went wrong; the library's hold addresses and answers."""
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        if code in _BUSY:
            raise AwayError(f"The peer cannot answer now (HTTP {code}).") from None
        if code in _FAILED:
            raise OverloadedError(f"The peer failed (HTTP {code}).") from None
        raise RefusedError(f"The peer refused what it was asked (HTTP {code}).") from None
    except requests.RequestException as error:
        raise AwayError(f"The peer cannot be reached ({type(error).__name__}).") from None
    except RadletError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever another system answers, and however the library takes it
        raise RefusedError(f"The peer's answer is none of DICOMweb's ({type(error).__name__}).") from None


def _failure_reasons(response: requests.Response | None) -> list[int]:
    """Return why objects were refused, where the answer to STOW-RS says so (PS3.18 10.5.3); else nothing."""
    try:
        body = response.json() if response is not None else {}
        return [int(one[_FAILURE_REASON]["Value"][0]) for one in body[_FAILED_SOP_SEQUENCE]["Value"]]
    except (ValueError, KeyError, IndexError, TypeError):
        return []


def _value(row: dict[str, Any], tag: str) -> object:
    values = row.get(tag, {}).get("Value", ())
    return values[0] if values else None
