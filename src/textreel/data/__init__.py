"""Records, prompts, journals and batches: everything between files and tensors."""
