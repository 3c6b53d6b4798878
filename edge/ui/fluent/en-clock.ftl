### Messages of the question what day it is.

clock-ask = What day is it?
clock-doubt = This node cannot be sure what day it is. Its clock says { $claims }, which is days after it was used last, and the hub has not told the time. Until you answer, what you record stands under { $used }.
clock-yes = Yes, it is { $time }
clock-other = No, another day
clock-now = It is now
error-clock-before = That is before this node was used last. Look at date and year.
error-clock-far = That is more than a year after this node was used last. Look at the year. If it is right, the hub has to tell the time.
error-clock-certain = The time is certain again; nothing to do.
