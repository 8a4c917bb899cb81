//! Distances between the counts of a reference and those of a window.
