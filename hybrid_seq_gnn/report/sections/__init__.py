"""One file a section: its sentences, its tables and its figures, as `write(section, facts)`."""
