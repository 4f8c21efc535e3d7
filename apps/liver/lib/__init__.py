"""Parts of the app. Imported by full name, because MONAI Label treats a module called ``lib`` as its own to reload."""
