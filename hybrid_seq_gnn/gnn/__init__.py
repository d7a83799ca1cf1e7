"""Graph networks: item embeddings in, item embeddings smoothed over the item graph out."""
