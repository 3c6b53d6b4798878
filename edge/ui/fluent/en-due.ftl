### Messages of the list of who is due.

due-title = Due this week
due-coming = To be seen again
due-sent = Sent on — ask what became of them
due-empty = Nobody is due this week.
due-today = due today
due-in = in { $n } days ({ $date })
due-late = { $n } days late (was due on { $date })
due-sent-on = sent on { $date }
due-ring = Ring { $name }
due-print = Print the list
due-days = Day
due-all-days = All days · { $n }
due-today-n = Today · { $n }
due-shown = { $shown } of { $n } are shown.
due-more = Show more ({ $n } left)
