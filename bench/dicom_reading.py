"""How fast a DICOM film becomes a square of 518 px: radlet beside pydicom + scikit-image, torchxrayvision and MONAI.

All do the same work on one core: decode, rescale and window at full depth, shortest edge to 518 px, centre crop. The
repetitions are interleaved. Times are of the processor, so that a busy machine disturbs them little. Printed are
medians, the ratio of the best peer's to radlet's, paired by repetition, with its 5th to 95th percentile, and the mean
absolute difference of the 8-bit result to pydicom + scikit-image's.

    taskset -c 0 python bench/dicom_reading.py ../shared/data/dicom --repetitions 15

Peers that are not installed are left out: pip install scikit-image monai torchxrayvision torch torchvision, in an
environment of their own.
"""

import argparse
import importlib.util
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from scipy.ndimage import gaussian_filter

from radlet.data.images import ImageSettings, read_film, resize_film

SIZE_PX = 518
SETTINGS = ImageSettings(size_px=SIZE_PX)
CHEST = ("cr_chest_pa_mono1_uncompressed", "cr_chest_pa_RG1_jpegls_near", "cr_chest_pa_RG1_j2k_lossy")
SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def radlet(path: Path) -> np.ndarray:
    return resize_film(read_film(path).pixels, SETTINGS)


def pydicom_skimage(path: Path) -> np.ndarray:
    from skimage.transform import resize

    header = dcmread(path)
    modality = apply_modality_lut(header.pixel_array, header)
    low, high = _window(header) or (float(modality.min()), float(modality.max()))
    fractions = np.clip((modality - low) / (high - low), 0, 1)
    if header.PhotometricInterpretation == "MONOCHROME1":
        fractions = 1 - fractions
    return _centre(resize(fractions, _shape(header.Rows, header.Columns), order=3, anti_aliasing=True))


def xrv_skimage(path: Path) -> np.ndarray:
    """Read with torchxrayvision's own function, then crop and resize as its transforms do by default."""
    from skimage.transform import resize

    return _from_xrv(resize(_read_xrv(path), (1, SIZE_PX, SIZE_PX), mode="constant", preserve_range=True)[0])


def xrv_cv2(path: Path) -> np.ndarray:
    """The same with the other engine of its resizer."""
    import cv2

    return _from_xrv(cv2.resize(_read_xrv(path)[0], (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA))


def monai(path: Path) -> np.ndarray:
    """Its loader and transforms; it prunes the window from the header, so it is told, and not timed."""
    import monai.transforms as mt

    image = mt.LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)(str(path))
    window = WINDOWS[path]
    scale = mt.ScaleIntensityRange(*window, 0.0, 1.0, clip=True) if window else mt.ScaleIntensity()
    resized = mt.Resize(_shape(*image.shape[1:]), mode="area")(scale(image))
    grey = np.asarray(mt.CenterSpatialCrop((SIZE_PX, SIZE_PX))(resized)[0]).T
    return 1 - grey if INVERTED[path] else grey


PEERS: dict[str, tuple[Callable[[Path], np.ndarray], str]] = {
    "pydicom + scikit-image": (pydicom_skimage, "skimage"),
    "torchxrayvision (scikit-image)": (xrv_skimage, "torchxrayvision"),
    "torchxrayvision (OpenCV)": (xrv_cv2, "cv2"),
    "MONAI": (monai, "monai"),
}
WINDOWS: dict[Path, tuple[float, float] | None] = {}
INVERTED: dict[Path, bool] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the real DICOM files")
    parser.add_argument("--repetitions", type=int, default=15)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    peers = {name: read for name, (read, module) in PEERS.items() if importlib.util.find_spec(module)}
    with tempfile.TemporaryDirectory() as folder:
        films = {name: given.folder / f"{name}.dcm" for name in CHEST}
        for name, path in {**films, **_synthetic(Path(folder))}.items():
            header = dcmread(path)
            WINDOWS[path], INVERTED[path] = _window(header), header.PhotometricInterpretation == "MONOCHROME1"
            _compare(
                f"{name}, {header.Rows} x {header.Columns}, {header.BitsStored} bits", path, peers, given.repetitions
            )


def _compare(title: str, path: Path, peers: dict[str, Callable[[Path], np.ndarray]], repetitions: int) -> None:
    contenders = {"radlet": radlet, **peers}
    pictures, failed = {}, {}
    for name, read in contenders.items():
        try:
            pictures[name] = read(path)
        except Exception as error:  # noqa: BLE001 - a peer that cannot read the film is told, not timed
            failed[name] = f"{type(error).__name__}: {str(error)[:60]}"
    times: dict[str, list[float]] = {name: [] for name in pictures}
    for _ in range(repetitions):
        for name in pictures:
            begun = time.process_time()
            contenders[name](path)
            times[name].append(time.process_time() - begun)
    print(title)
    reference = pictures.get("pydicom + scikit-image")
    for name, spent in times.items():
        difference = "" if reference is None else f"  differs by {_difference(pictures[name], reference):.2f} grey"
        print(f"  {name:32} {np.median(spent) * 1e3:8.1f} ms{difference}")
    for name, reason in failed.items():
        print(f"  {name:32} cannot read it ({reason})")
    if len(times) > 1:
        best = min((name for name in times if name != "radlet"), key=lambda name: np.median(times[name]))
        ratios = np.array(times[best]) / np.array(times["radlet"])
        low, high = np.percentile(ratios, [5, 95])
        print(
            f"  best peer {best}: {np.median(ratios):.2f} times as long as radlet [{low:.2f}, {high:.2f}]", flush=True
        )


def _difference(picture: np.ndarray, reference: np.ndarray) -> float:
    first, second = (p.astype(np.float64) * (1 if p.dtype == np.uint8 else 255) for p in (picture, reference))
    return float(np.abs(np.clip(first, 0, 255) - np.clip(second, 0, 255)).mean())


def _window(header: FileDataset) -> tuple[float, float] | None:
    center, width = header.get("WindowCenter"), header.get("WindowWidth")
    if center in (None, "") or width in (None, ""):
        return None
    center, width = (float(value if isinstance(value, float | int) else value[0]) for value in (center, width))
    return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2


def _shape(height: int, width: int) -> tuple[int, int]:
    short = min(height, width)
    return int(SIZE_PX * height / short), int(SIZE_PX * width / short)


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = ((side - SIZE_PX) // 2 for side in picture.shape)
    return picture[top : top + SIZE_PX, left : left + SIZE_PX]


def _read_xrv(path: Path) -> np.ndarray:
    """Return the film with its long side cut to the short one, as XRayCenterCrop does, (1, S, S)."""
    values = _xrv_utils().read_xray_dcm(path, voi_lut=WINDOWS[path] is not None)[None]
    side = min(values.shape[1:])
    top, left = (length // 2 - side // 2 for length in values.shape[1:])
    return values[:, top : top + side, left : left + side]


def _from_xrv(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.float32) + 1024) / 2048


@cache
def _xrv_utils() -> ModuleType:
    """Load its reader alone: the package itself imports torchvision and its models."""
    package = importlib.util.find_spec("torchxrayvision")
    spec = importlib.util.spec_from_file_location("xrv_utils", Path(package.origin).with_name("utils.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _synthetic(folder: Path) -> dict[str, Path]:
    """Write films of the size of a digital detector, in every syntax that needs no licensed encoder."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(3056, 2500)), 40)
    paths = {}
    for bits in (12, 16):
        film = smooth / np.abs(smooth).max() * 0.4 + 0.5 + rng.normal(scale=0.002, size=smooth.shape)
        values = np.clip(film * (2**bits - 1), 0, 2**bits - 1).astype(np.uint16)
        for name, syntax in SYNTAXES.items():
            paths[f"synthetic DX, {name}, {bits}"] = path = folder / f"{bits}-{name}.dcm"
            _write(path, values, bits, syntax)
    return paths


def _write(path: Path, values: np.ndarray, bits: int, syntax: str) -> None:
    header = FileDataset(str(path), {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.Modality, header.BodyPartExamined, header.ViewPosition = "DX", "CHEST", "PA"
    header.Rows, header.Columns = values.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, bits, bits - 1
    header.WindowCenter, header.WindowWidth = 2 ** (bits - 1), 2**bits * 3 // 4
    header.RescaleSlope, header.RescaleIntercept = 1, 0
    header.PixelData = values.tobytes()
    if syntax != ExplicitVRLittleEndian:
        header.compress(syntax, generate_instance_uid=False)
    header.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    main()
