### Messages of the emergency page. A RED patient where nobody is logged in.

red-title = गंभीर मरीज़
red-first-aid = प्राथमिक मदद
red-at-hub = अस्पताल तक पहुँच गया। डॉक्टर को बताया गया है।
red-doctor = { $name } देख रहे हैं।
red-sending = भेजा जा रहा है …
red-offline = इंटरनेट नहीं है। आते ही अपने आप जाएगा। 108 पर फ़ोन करें।
red-unlocked = डिब्बा अब खुला है: यह मरीज़ सूची में सबसे ऊपर है।
red-answer = डॉक्टर का जवाब आया
red-slip = पर्ची खोलें और छापें
red-print-done = पर्ची छप गई
red-printed = पर्ची छप गई है
red-more = जितना नाप सकें
red-words = क्या हुआ (कुछ शब्द)
red-send = डॉक्टर को भेजें
red-told = भेज दिया
red-next = दूसरा गंभीर मरीज़
error-too-many-cases = एक साथ बहुत आपातकाल। थोड़ा रुकें, या डिब्बा खोलें।
red-restarted = डिब्बा बीच में फिर से चालू हुआ। पिछला मरीज़ सुरक्षित है और डॉक्टर तक जाता है। आगे बताना हो तो यहाँ फिर से शुरू करें।
error-printed-often = बिना लॉगिन के यह काफ़ी बार छप चुका। डिब्बा खोलें, फिर मरीज़ के पन्ने से छापें।
