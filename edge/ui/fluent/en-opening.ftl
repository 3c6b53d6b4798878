### Messages of the locked node's page.

day-title = Open from this tablet
day-hint = After a power cut: choose your name and type your PIN. This key is erased when the day is closed, or after 14 hours.
error-day-slot-gone = This tablet's key of today works no more. Unlock with a badge and its PIN.
