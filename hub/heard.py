"""What a page says that it received of one call, over reloads: figures that begin at zero again are added. Pure."""

import msgspec
from msgspec import Struct

from edge.media.signals import Report


class Heard(Struct, frozen=True):
    """Figures of one side of a call."""

    base: Report
    """Of pages that are gone."""
    last: Report
    """Of the present page, cumulative."""

    def after(self, report: Report) -> "Heard":
        """The figures once another report came."""
        began_anew = report.audio_s < self.last.audio_s or report.frames < self.last.frames
        return Heard(self.total if began_anew else self.base, report)

    @property
    def total(self) -> Report:
        """Everything that was received, in the mode that was said last."""
        return msgspec.structs.replace(
            self.last,
            video_s=self.base.video_s + self.last.video_s,
            audio_s=self.base.audio_s + self.last.audio_s,
            concealed_s=self.base.concealed_s + self.last.concealed_s,
            frames=self.base.frames + self.last.frames,
        )


def nothing(call_id: str) -> Report:
    """Of a call that carried nothing."""
    return Report(call_id, 0.0, 0.0, 0.0, 0)


def heard(before: Report) -> Heard:
    """Of a page that has just opened, ``before`` which others received so much."""
    return Heard(before, nothing(before.call_id))
