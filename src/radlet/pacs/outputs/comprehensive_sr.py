"""A draft as Comprehensive SR after TID 1500, with the regions in which the model looked, on the source image."""

import highdicom as hd
import numpy as np
from highdicom.sr import ImageRegion, RelationshipTypeValues, TextContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from radlet.data.source_grid import SourceGrid, source_grid
from radlet.pacs.outputs.facts import Region, ReportFacts
from radlet.pacs.outputs.identifiers import observation_code, uid_of
from radlet.pacs.outputs.identity import Frame, algorithm, observers
from radlet.pacs.outputs.regions import Outline
from radlet.pacs.outputs.text_sr import findings

KIND = "comprehensive_sr"
SERIES_NUMBER = 9002


def comprehensive_sr(facts: ReportFacts) -> Dataset:
    """Return a draft as Comprehensive SR; regions are outlines of what the model looked at, no measurements.

    Raises:
        DataError: The film of the draft is no DICOM object.
    """
    frame = Frame.of(KIND, facts)
    grid = source_grid(facts.source_header())
    groups = [
        _group(frame, grid, region, outline, number)
        for region in facts.regions
        for number, outline in enumerate(region.outlines, 1)
    ]
    report = hd.sr.MeasurementReport(
        observation_context=observers(facts.report),
        procedure_reported=codes.SCT.PlainRadiography,
        imaging_measurements=groups or [_whole_film(frame)],
    )
    report[0].ContentSequence.append(findings(frame))
    made = hd.sr.ComprehensiveSR(evidence=[frame.source], content=report[0], **frame.series(SERIES_NUMBER))
    return frame.finish(made)


def _whole_film(frame: Frame) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Return a group about the film as a whole, for a draft without regions: TID 1500 needs one."""
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=uid_of(frame.facts.report.id, KIND, "whole film"), identifier="The whole film: the draft has no regions"
        ),
        source_images=[hd.sr.SourceImageForMeasurementGroup.from_source_image(frame.source)],
        algorithm_id=algorithm(frame.facts.draft),
    )


def _group(
    frame: Frame, grid: SourceGrid, region: Region, outline: Outline, number: int
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    name = f"Sentence {region.number}, region {number}"
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid_of(frame.facts.report.id, KIND, name), identifier=name),
        referenced_region=ImageRegion(
            graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
            graphic_data=_on_source(grid, outline),
            source_image=hd.sr.SourceImageForRegion.from_source_image(frame.source),
        ),
        finding_type=observation_code(region.observation),
        algorithm_id=algorithm(frame.facts.draft),
    )
    words = f"{region.sentence} (Where the model looked; faithfulness {region.faithfulness:.2f}.)"
    group[0].ContentSequence.append(TextContentItem(codes.DCM.Comment, words, RelationshipTypeValues.CONTAINS))
    return group


def _on_source(grid: SourceGrid, outline: Outline) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return grid.from_film(outline).astype(np.float32)
