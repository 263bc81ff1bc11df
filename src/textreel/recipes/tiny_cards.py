"""The model cards of the embedded models."""

_HEAD = """---
license: apache-2.0
library_name: transformers
---

"""

TOWERS_CARD = (
    _HEAD
    + """# textreel tiny towers

A dual encoder for pictures, texts and sounds in one space of 256 dimensions, trained from nothing
on procedurally drawn stills with captions, and on synthetic sounds tied to pictures. It has never
met a real photograph, recording or sentence: **it knows only textreel's own world** of coloured
shapes. It is there so that everything can be tried, and tested, without a download.

- Pictures: 48 x 48 pixels, four convolutions. Texts: a convolution over words and two
  transformer layers, a word-level vocabulary. Sounds: log-mel frames at 16 kHz, three
  convolutions; trained on pictures only, no word ever met a sound.
- Built by `textreel synth tiny`; data and weights are textreel's own, under the Apache licence 2.0.
- `statistics.safetensors` holds the mean picture and the mean text vector.
"""
)

DECODER_CARD = (
    _HEAD
    + """# textreel tiny decoder

A causal language model of 1.6 million parameters (Qwen2 architecture, 5 layers of 160) that learned
to read captions of procedurally made scenes and to answer questions about them. It has seen words
only, about 200 of them, and no picture feature: **it knows only textreel's own world** of coloured
shapes. It is there so that everything can be tried, and tested, without a download.

- Half of its later documents held each moment packed into four positions, one for each shape:
  weighted sums of the words about that object, much as a soft token is. No encoder's feature was
  among them.
- Built by `textreel synth tiny`; data and weights are textreel's own, under the Apache licence 2.0.
"""
)
