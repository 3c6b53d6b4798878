### Messages of the locked node's page.

day-title = Open from this tablet
day-hint = After a power cut: choose your name and type your PIN. This key is erased when the day is closed, or after 14 hours.
error-day-slot-gone = This tablet's key of today works no more. Unlock with a badge and its PIN.
ask-title = No badge and no tablet of today?
ask-hint = Ask the hospital to open the box. A person there speaks with you and says yes or no. Then log in with your name and PIN.
ask-go = Ask the hospital to open it
ask-stop = Ask no more
ask-sent = Asking …
ask-waiting = Asked. Somebody at the hospital has to say yes.
ask-refused = The hospital refused. Ring the coordinator, or fetch a badge.
ask-opened = The hospital has opened it.
ask-failed = The hospital said yes, but its key does not fit this box. Take a badge, and tell the technician.
ask-offline = There is no internet now. The question arrives when it is back.
error-asked-just-now = It was asked a moment ago. Wait ten seconds.
error-hub-slot-missing = The hospital has no key to this box. Take a badge.
error-not-locked = The box is open. Log in.
