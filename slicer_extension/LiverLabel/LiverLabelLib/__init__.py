"""What the modules of the LiverLabel extension share.

Files without Slicer and Qt: ``client``, ``protocol``, ``jobs``, ``geometry``, ``us_dicom``, ``stats`` and what they
rest on (``transport``, ``address``, ``multipart``, ``nifti``, ``results``, ``outbox``, ``errors``). They need Python's
standard library and numpy, ``us_dicom`` also pydicom. Volumes are (x, y, z); affines map voxel indices to world
millimetres, RAS+.
"""
