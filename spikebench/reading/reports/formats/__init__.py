"""Ways to write a document. A file's ``Format`` has ``write(document, folder)`` and returns the files that it wrote."""
