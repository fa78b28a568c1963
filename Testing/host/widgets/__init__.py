"""The widgets of CTK and Slicer that the panel uses; class and member names are theirs."""
