"""How annotation files are read, in the words of the commands that read them."""

CORPORA_HELP = (
    "longalpaca, longqlora, booksum, natural-questions, video-chatgpt, sharegemini, webvid, "
    "captions, llava-instruct, videochat, activitynet-qa, llava, sharegpt, fields (any, with "
    "--fields) or records (ours)"
)
"""All of `data.corpora.CORPORA`, which is not imported only to print a help text."""
FIELDS_HELP = (
    "Fields or csv columns: video=F,question=F,answer=F (or image=F, context=F); C,I,A: those of "
    "context, instruction, answer. video=video{F}.mp4 puts a name together."
)
