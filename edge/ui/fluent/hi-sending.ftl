### Messages for sending a patient on without a doctor's word.

sending-title = बड़े अस्पताल भेजना
sending-write = भेजने की पर्ची बनाएँ
sending-again = नई पर्ची बनाएँ
sending-place = कहाँ भेजना है
sending-words = जगह का नाम
sending-when = कब
sending-way = कैसे जाएँगे
sending-reason = क्यों भेज रहे हैं
sending-given = यहाँ क्या किया, क्या दिया
sending-save = पर्ची बनाएँ
sending-print = पर्ची प्रिंट करें (A5)
sending-print-here = पर्ची यहाँ छापें
ending-write = आगे क्या हुआ, लिखें
ending-what = मरीज़ का क्या हुआ
ending-note = और कुछ (ज़रूरी नहीं)
saved = लिख लिया गया।
on-call = डॉक्टर न मिलें तो इन्हें फ़ोन करें
on-call-none = कोई नंबर नहीं लिखा है। पीएचसी के ड्यूटी डॉक्टर का नंबर आज ही लिख लें।
on-call-edit = नंबर बदलें
on-call-write = नंबर लिखें
on-call-name = किसका नंबर
on-call-phone = फ़ोन नंबर
on-call-remove = { $name } का नंबर हटाएँ
unanswered = { $time } से किसी डॉक्टर ने जवाब नहीं दिया। 108 और नीचे के नंबरों पर फ़ोन करें, और भेजने की पर्ची बनाएँ।
