"""All drivers, by the name that ``--device`` takes, and the USB adapters that their cables have."""

from .astm import ContourAstm
from .base import Driver
from .beurer import BeurerBm
from .contec_old import ContecOem, ContecOld
from .contec_v7 import ContecV7
from .nonin import Nonin2, Nonin7
from .nonin_slow import Nonin8, NoninLines
from .nonin_spot import Nonin13
from .onetouch_easy import OneTouchEasy
from .onetouch_ultra import OneTouchUltra
from .sd_codefree import SdCodeFree

DRIVERS: dict[str, type[Driver]] = {
    driver.model: driver
    for driver in (
        ContecV7,
        ContecOld,
        ContecOem,
        Nonin2,
        Nonin7,
        Nonin8,
        NoninLines,
        Nonin13,
        OneTouchUltra,
        OneTouchEasy,
        SdCodeFree,
        ContourAstm,
        BeurerBm,
    )
}

CP210X, PL2303 = "10c4:ea60", "067b:2303"

BY_USB: dict[str, tuple[str, ...]] = {
    CP210X: (ContecV7.model, SdCodeFree.model, BeurerBm.model),
    PL2303: (OneTouchUltra.model, BeurerBm.model),
}
"""Adapters are shared by several devices: each model is offered beside the fields that it alone can fill."""
