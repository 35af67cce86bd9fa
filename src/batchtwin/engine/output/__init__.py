"""The output folder of a job: its layout, segments, predictions, failures, manifest, upload."""
