"""`TrackLMConfig`: everything that rebuilds a `TrackLM` around its decoder, as JSON values."""

from dataclasses import dataclass, field

from textreel.models.adapters import AdapterKind, GatedConfig, LoraSettings
from textreel.models.connectors import ConnectorConfig
from textreel.models.errors import ModelConfigError
from textreel.models.published import Published


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackLMConfig:
    """Everything that rebuilds a `TrackLM` around its decoder; JSON values only.

    Attributes:
        decoder: where the frozen decoder is; see `decoder.locate`.
        decoder_weights: its `decoder.weight_fingerprint`; empty where it came from no file.
        encoder: name of the encoder whose features the connector reads.
        encoder_revision: that encoder's revision.
        connector: the connector's shape.
        adapter: what the decoder learns with.
        gated: shape of the gated adapter; not used by the others.
        lora: shape of the LoRA updates; not used by the others.
        published: the published code's faults, repeated in a converted run; None in all others.
    """

    decoder: str
    connector: ConnectorConfig
    decoder_weights: str = ""
    encoder: str = ""
    encoder_revision: str = ""
    adapter: AdapterKind = "none"
    gated: GatedConfig = field(default_factory=GatedConfig)
    lora: LoraSettings = field(default_factory=LoraSettings)
    published: Published | None = None

    def __post_init__(self) -> None:
        if self.adapter not in ("none", "gated", "lora"):
            raise ModelConfigError(
                f"TrackLMConfig: adapter={self.adapter!r} is none of 'none', 'gated', 'lora'"
            )
