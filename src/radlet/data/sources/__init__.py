"""Sources of studies: each reads one layout of raw films and reports, or makes them."""

from radlet.core.registry import Registry

SOURCES = Registry(
    "sources",
    {
        "folder": "radlet.data.sources.folder:FolderSource",
        "dicom_tree": "radlet.data.sources.dicom_tree:DicomTreeSource",
        "synthetic": "radlet.data.sources.synthetic:SyntheticSource",
        "mimic_cxr": "radlet.data.sources.mimic_cxr:MimicCxrSource",
        "llava_rad": "radlet.data.sources.llava_rad:LlavaRadSource",
        "chexpert": "radlet.data.sources.chexpert:CheXpertSource",
        "chexpert_plus": "radlet.data.sources.chexpert_plus:CheXpertPlusSource",
        "open_i": "radlet.data.sources.open_i:OpenISource",
        "chest_xray14": "radlet.data.sources.chest_xray14:ChestXray14Source",
        "padchest": "radlet.data.sources.padchest:PadChestSource",
        "vindr_cxr": "radlet.data.sources.vindr_cxr:VinDrCxrSource",
        "brax": "radlet.data.sources.brax:BraxSource",
        "bimcv_covid19": "radlet.data.sources.bimcv_covid19:BimcvCovid19Source",
        "vqa_rad": "radlet.data.sources.vqa_rad:VqaRadSource",
        "slake": "radlet.data.sources.slake:SlakeSource",
        "path_vqa": "radlet.data.sources.path_vqa:PathVqaSource",
        "roco": "radlet.data.sources.roco:RocoSource",
    },
)
