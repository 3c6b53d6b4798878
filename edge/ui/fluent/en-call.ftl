### Messages of the line before a call: what will work now.

preflight-checking = Looking what will work…
preflight-expected = What will work: { $carries }
preflight-sound = What will work: sound only; take photos for the case
preflight-case = A call will hardly work now: the case, photos and a voice note get through
preflight-unknown = The link could not be measured: the call itself will show what it carries
preflight-saving = Not measured, to save today's data: the call itself will show what the link carries
preflight-offline = No link now: write the case, it leaves when the link is back
preflight-camera-denied = The browser does not allow the camera
preflight-camera-missing = No camera was found
preflight-camera-busy = The camera does not open
preflight-camera-off = The camera is switched off
preflight-microphone-denied = The browser does not allow the microphone: the doctor would hear nothing
preflight-microphone-missing = No microphone was found: the doctor would hear nothing
preflight-microphone-busy = The microphone does not open: the doctor would hear nothing
preflight-microphone-off = The microphone is switched off: the doctor would hear nothing
preflight-sound-off = Touch the screen once, so that the doctor can be heard
