"""What flashing and building refuse, in words for the technician."""

from edge.model.errors import Fault, UpkendraError


class ImageRefused(UpkendraError):
    """The image, its manifest or its block map is not what it should be. Nothing was written."""

    code = "image_damaged"
    fault = Fault.CALLER


class CardRefused(UpkendraError):
    """This is no card that may be written. Nothing was written."""

    code = "card_dangerous"
    fault = Fault.CALLER


class WriteFailed(UpkendraError):
    """The card did not take the image, or gives back something else. It must not be used."""

    code = "write_failed"
    fault = Fault.STATE
