# The first 96 classes of glyph scenes: stated in mmtoken.datasets, which draws them, and read here
# for classification, detection and segmentation alike.
glyph_classes = __import__('mmtoken.datasets').datasets.glyph_names(96)
