"""Export a model as a folder that plain transformers loads. The core is `write.export_model`."""
