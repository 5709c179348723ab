"""Commands that turn published checkpoints into what radlet reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from radlet.cli.arguments import check_folder
from radlet.core.config import load_config
from radlet.core.console import Progress, make_console

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from radlet.models.architectures.base import Architecture
    from radlet.models.importers.key_report import KeyReport
    from radlet.models.importers.llava_rad import ImagePath

commands = typer.Typer(name="import", no_args_is_help=True, help="Turn published checkpoints into what radlet reads.")


@commands.command(name="chexbert")
def import_chexbert_command(
    weights: Annotated[Path, typer.Argument(help="The published chexbert.pth.", show_default=False)],
    bert: Annotated[
        Path, typer.Option(help="Folder with config.json and vocab.txt of bert-base-uncased.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("chexbert"),
) -> None:
    """Turn the CheXbert labeller's weights into a folder that the labeller of kind chexbert reads."""
    from radlet.models.importers.chexbert import import_chexbert

    check_folder(out)
    import_chexbert(weights, bert, out)
    typer.echo(str(out))


@commands.command(name="gguf")
def import_gguf_command(
    file: Annotated[Path, typer.Argument(help="GGUF file of a language model.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
) -> None:
    """Turn a language model in llama.cpp's format into a folder that recipes can name."""
    from radlet.models.importers.gguf import import_gguf

    check_folder(out)
    num_parameters = import_gguf(file, out)
    make_console().print(f"  {num_parameters / 1e6:,.1f} million weights", soft_wrap=True)
    typer.echo(str(out))


@commands.command(name="llava-rad")
def import_llava_rad_command(
    published: Annotated[Path, typer.Argument(help="Folder with the published files.", show_default=False)],
    language_model: Annotated[
        Path, typer.Option(help="Local folder of Vicuna 7B v1.5, with its tokenizer.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.", show_default=False)],
    dtype: Annotated[
        Literal["as-published", "float32", "bfloat16", "float16"],
        typer.Option(help="Type of the weights; as-published leaves each as it is."),
    ] = "as-published",
) -> None:
    """Turn the published LLaVA-Rad into a checkpoint, with a report on every key in import.json."""
    from radlet.models.importers.llava_rad import import_llava_rad
    from radlet.models.importers.llava_rad_files import LlavaRadFiles

    check_folder(out)
    files = LlavaRadFiles.read(published, language_model)
    report = import_llava_rad(files, out, _shortest_edge_path, dtype, Progress())
    _show_keys(report)
    typer.echo(str(out))


@commands.command(name="vlm")
def import_vlm_command(
    model: Annotated[Path, typer.Argument(help="Local folder of the published model.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.", show_default=False)],
    tower: Annotated[
        Path | None,
        typer.Option(help="Folder of the image encoder, for LLaVA as its authors published it.", show_default=False),
    ] = None,
    films: Annotated[
        Literal["frontal", "frontal_and_lateral"], typer.Option(help="Which films of a study the model is shown.")
    ] = "frontal",
    size_px: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            help="Side of the square, for models that take films of any shape.",
            show_default="16 tokens",
        ),
    ] = None,
    resize: Annotated[
        Literal["crop", "pad", "squash"] | None,
        typer.Option(help="How films become square.", show_default="as the model does, or pad"),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Prompt family in place of the model's chat template.", show_default="the template"),
    ] = None,
) -> None:
    """Turn a vision-language model (LLaVA-1.5, Qwen-VL, Gemma 3, MedGemma) into a checkpoint, every key told."""
    from radlet.data.square_films import SquareChoice, dynamic_settings, fixed_settings
    from radlet.models.importers.llava_rad import ImagePath
    from radlet.models.importers.vlm import VlmImport, import_vlm

    choice = SquareChoice(size_px, resize)

    def image_path(folder: Path, architecture: "Architecture", config: "PretrainedConfig") -> ImagePath:
        stride_px = architecture.stride_px(config)
        if stride_px is None:
            settings = fixed_settings(folder, config.vision_config.image_size, choice)
        else:
            settings = dynamic_settings(folder, stride_px, choice)
        return ImagePath(settings.model_dump(mode="json"), settings.digest, {})

    check_folder(out)
    report = import_vlm(VlmImport(model, tower, family, films, image_path), out, Progress())
    _show_keys(report)
    typer.echo(str(out))


@commands.command(name="open-clip")
def import_open_clip_command(
    published: Annotated[
        Path, typer.Argument(help="Folder with open_clip's configuration and weights.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; must not be there yet.", show_default=False)],
    bert: Annotated[
        Path | None,
        typer.Option(help="Folder with config.json and tokenizer files of the text tower's BERT.", show_default=False),
    ] = None,
) -> None:
    """Turn an open_clip pair, such as BiomedCLIP, into a vision tower for encoder.path, a text tower and their heads.

    Without --bert the image tower alone is written. import.json tells what became of every key.
    """
    from radlet.data.images import ImageSettings, hf_image_processor_config
    from radlet.models.importers.open_clip import RESIZE_MODES, OpenClipFiles, import_open_clip

    def preprocessor(files: OpenClipFiles) -> dict[str, object]:
        """Return what open_clip does to images by itself: shortest edge, centre, unless the file says otherwise."""
        told = files.preprocessing
        resize = RESIZE_MODES[told.get("resize_mode")]
        values: dict[str, Any] = {name: tuple(told[name]) for name in ("mean", "std") if name in told}
        resample = told.get("interpolation", "bicubic")
        return hf_image_processor_config(
            load_config(ImageSettings, None, size_px=files.size_px, resize=resize, resample=resample, **values)
        )

    check_folder(out)
    report = import_open_clip(OpenClipFiles.read(published), bert, out, preprocessor)
    _show_keys(report)
    typer.echo(str(out))


def _shortest_edge_path(size_px: int) -> "ImagePath":
    """Return the image path of LLaVA-Rad: shortest edge to size, centre crop, CLIP's mean and deviation."""
    from radlet.data.images import ImageSettings, hf_image_processor_config
    from radlet.models.importers.llava_rad import ImagePath

    settings = ImageSettings(size_px=size_px, resize="crop")
    return ImagePath(settings.model_dump(mode="json"), settings.digest, hf_image_processor_config(settings))


def _show_keys(report: "KeyReport") -> None:
    """Print what became of the keys, a row a part."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for column in ("part", "mapped", "merged", "dropped"):
        table.add_column(column, justify="left" if column == "part" else "right")
    table.add_column("dropped because", overflow="fold", style="dim")
    for group, counts in report.counts().items():
        numbers = [str(count) if count else "[dim]-[/]" for count in counts.values()]
        table.add_row(group, *numbers, "; ".join(report.reasons(group)))
    make_console().print(table)
