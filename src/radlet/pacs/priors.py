"""Earlier films of a patient, asked for at another system; they are kept beside the study and never drafted."""

import logging

from radlet.core.errors import DataError, RadletError
from radlet.data.film_header import read_film_header
from radlet.pacs.peers.base import FoundStudy, PeerClient
from radlet.pacs.settings import PriorSettings
from radlet.pacs.storing import keep_object
from radlet.reading.arrivals import known_study_uids
from radlet.reading.store.films import PRIOR
from radlet.reading.store.store import Store
from radlet.reading.store.tables import StudyRow

_LOG = logging.getLogger(__name__)
_FILM_MODALITIES = {"CR", "DX", "RG"}
_WILDCARDS = set("*?\\")


class PriorFetcher:
    """Fetch the newest earlier films of a patient.

    Args:
        store: Where they are kept.
        peer: Who is asked.
        settings: For how many, and how.
    """

    def __init__(self, store: Store, peer: PeerClient, settings: PriorSettings) -> None:
        self._store, self._peer, self._settings = store, peer, settings

    def fetch(self, study_id: str) -> int:
        """Fetch the priors of a study that the store does not have; return how many studies were asked for.

        That the other system cannot be asked does not keep a study from being drafted: it is logged.
        """
        study = self._store.study(study_id)
        try:
            wanted = self._wanted(study)
            for found in wanted:
                self._peer.retrieve(found.study_uid, self._settings.retrieve, lambda film: self._keep(film, study))
        except RadletError as error:
            _LOG.warning("priors of study %s could not be fetched: %s", study_id, error)
            return 0
        except Exception as error:  # noqa: BLE001 - whatever another system answers, the study is drafted without them
            _LOG.warning("priors of study %s could not be fetched: %s", study_id, type(error).__name__)
            return 0
        return len(wanted)

    def _wanted(self, study: StudyRow) -> list[FoundStudy]:
        patient_id = study.patient_id
        # A wildcard would find other patients.
        if not patient_id or _WILDCARDS & set(patient_id):
            return []
        earlier = [
            found
            for found in self._peer.studies_of(patient_id)
            if _may_be_of(patient_id, found.patient_id) and found.study_uid and _is_earlier(found, study)
        ]
        newest = sorted(earlier, key=lambda found: found.study_date, reverse=True)[: self._settings.max_studies]
        known = known_study_uids(self._store, [found.study_uid for found in newest])
        return [found for found in newest if found.study_uid not in known]

    def _keep(self, film: bytes, study: StudyRow) -> None:
        try:
            self._check_and_keep(film, study)
        except RadletError as error:
            _LOG.warning("a prior of study %s was not kept: %s", study.id, error)
            raise

    def _check_and_keep(self, film: bytes, study: StudyRow) -> None:
        header = read_film_header(film)
        # A film of somebody else beside this study would mislead whoever reads it.
        if header is None or header.patient_id != study.patient_id:
            raise DataError("The film is not one of this patient.")
        keep_object(self._store, film, None, PRIOR)


def _may_be_of(patient_id: str, told: str) -> bool:
    """Say whether a study that is told of may be the patient's; its films say it for sure, when they come.

    Orthanc leaves out of an answer what its own character set (by default Latin-1) does not hold; others put question
    marks there.
    """
    told = told.strip()
    if patient_id.isascii() or not told.isascii():
        return told == patient_id
    return told.replace("?", "").strip() == "".join(letter for letter in patient_id if letter.isascii()).strip()


def _is_earlier(found: FoundStudy, study: StudyRow) -> bool:
    if found.study_uid == study.study_uid or not set(found.modalities) & _FILM_MODALITIES:
        return False
    return not study.study_date or found.study_date <= study.study_date
