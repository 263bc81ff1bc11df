"""Image-LLMs of Hugging Face as they are: frames and pages go in as pictures."""
