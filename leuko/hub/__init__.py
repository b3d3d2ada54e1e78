"""The Hugging Face Hub: publishing models."""
