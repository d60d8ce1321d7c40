"""Raw texts for pretraining: documents, tokenizers, token ids on the disk, windows of them."""
