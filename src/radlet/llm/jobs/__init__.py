"""What a language model is asked to do to the texts of a study; a recipe of `structure` chooses and orders the jobs."""

from radlet.core.registry import Registry

JOBS = Registry(
    "jobs",
    {
        "sections": "radlet.llm.jobs.sections:SectionsJob",
        "translate": "radlet.llm.jobs.translate:TranslateJob",
        "mend": "radlet.llm.jobs.mend:MendJob",
        "labels_to_text": "radlet.llm.jobs.labels_to_text:LabelsToTextJob",
        "present_state": "radlet.llm.jobs.present_state:PresentStateJob",
    },
)
