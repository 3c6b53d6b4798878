### Messages of the list of who is due.

due-title = इस हफ़्ते किसे आना है
due-coming = दोबारा दिखाने आना है
due-sent = आगे भेजे गए — ख़बर लें
due-empty = इस हफ़्ते किसी का आना बाकी नहीं है।
due-today = आज आना है
due-in = { $n } दिन बाद ({ $date })
due-late = { $n } दिन देर ({ $date } को आना था)
due-sent-on = { $date } को भेजे गए
due-ring = { $name } को फ़ोन करें
due-print = सूची प्रिंट करें
due-days = दिन
due-all-days = सब दिन · { $n }
due-today-n = आज · { $n }
due-shown = { $n } में से { $shown } दिख रहे हैं।
due-more = और दिखाएँ ({ $n } बाकी)
