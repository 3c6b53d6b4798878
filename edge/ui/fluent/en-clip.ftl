### Messages of clips: the recorder, and how far one has come.

media-clip-record = Record a clip
media-clip-making = Making it small…
media-clip-alt = Clip of { $time }
media-clip-first = First picture of the clip
media-clip-comes = The clip is coming: { $n } of { $all } parts
error-clip-failed = The recording could not be made into a clip. Record it again.
error-clip-codec = This browser records in a way that is not read here. Open the page in Chrome.
clip-title = Record a clip
clip-picture = What the camera sees
clip-opening = The camera opens…
clip-ready = Ready: at most { $most } seconds
clip-running = { $seconds } of { $most } seconds
clip-start = Record
clip-stop = Stop and keep
clip-no-camera = The camera or the microphone does not open. Allow them in the browser, then try again.
clip-own = Record with the centre's camera
clip-own-stop = Stop and keep ({ $seconds } s)
error-clip-busy = The centre's camera is in use. Try again after that.
error-clip-no-camera = The centre's camera does not open. Look at its cable.
