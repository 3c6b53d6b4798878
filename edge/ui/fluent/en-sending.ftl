### Messages for sending a patient on without a doctor's word.

sending-title = Sending on to a hospital
sending-write = Write a referral slip
sending-again = Write a new slip
sending-place = Where to
sending-words = Name of the place
sending-when = When
sending-way = How the patient goes
sending-reason = Reason
sending-given = What was done and given here
sending-save = Make the slip
sending-print = Print the slip (A5)
sending-print-here = Print the slip here
ending-write = Write what became of it
ending-what = What became of the patient
ending-note = Anything else (optional)
saved = It is written down.
on-call = Ring these when no doctor answers
on-call-none = No number is written here. Write down the number of the PHC's duty doctor today.
on-call-edit = Change the numbers
on-call-write = Write a number
on-call-name = Whose number
on-call-phone = Phone number
on-call-remove = Remove the number of { $name }
unanswered = No doctor has answered for { $time }. Ring 108 and the numbers below, and write a referral slip.
