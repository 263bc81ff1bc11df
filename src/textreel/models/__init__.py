"""Every nn.Module and all Hugging Face code; knows tensors and its own dataclasses only."""
