"""Raw texts: documents, tokenizers, shards, windows."""
