"""What can go wrong besides unsuitable input; each text is shown to the client."""


class UnknownNameError(LookupError):
    """A case, task or request that the server does not have. HTTP 404."""


class ServerBusyError(RuntimeError):
    """Too many computations wait already. HTTP 503."""


class TrainingRunningError(RuntimeError):
    """A training runs already. HTTP 429, as MONAI Label answers."""


class ComputationError(RuntimeError):
    """The computation failed through a defect of ours or for want of memory. HTTP 500."""


class StoreError(RuntimeError):
    """The DICOMweb store cannot be used."""


class StoreUnreachableError(StoreError):
    """It does not answer now; later it may. HTTP 503."""


class StoreRefusedError(StoreError):
    """It answers and refuses, or is no such store. HTTP 502."""
