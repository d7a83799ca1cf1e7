"""Files of interactions -> `Events` in file order -> `Sequences` in time order -> `Split` -> batches."""
