### Messages of the emergency page. A RED patient where nobody is logged in.

red-title = A patient in danger
red-first-aid = First aid
red-at-hub = The hospital has it. The doctor is told.
red-doctor = { $name } is looking after it.
red-sending = Being sent …
red-offline = There is no internet. It goes by itself when it is back. Ring 108.
red-unlocked = The box is open now: this patient stands on top of the list.
red-answer = The doctor has answered
red-slip = Open the slip and print it
red-print-done = The slip is printed
red-printed = The slip has been printed
red-more = Whatever you can measure
red-words = What happened (a few words)
red-send = Send it to the doctor
red-told = Sent
red-next = Another patient in danger
error-too-many-cases = Too many emergencies at once. Wait a moment, or unlock the box.
red-restarted = The box was started anew meanwhile. The patient of before is safe and goes to the doctor. To tell more, begin here again.
error-printed-often = This was printed often enough without a log-in. Open the box, then print from the visit.
