"""A trained run as one file that scores a history without this package: `.onnx` or `.pt2`."""
