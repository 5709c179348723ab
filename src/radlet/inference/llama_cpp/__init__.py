"""llama.cpp as a library: its functions, GGUF files, and sequences that are decoded together."""
