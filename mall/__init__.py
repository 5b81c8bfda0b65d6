"""What changes: one noun a module, in the order that tests/test_imports.py keeps."""
