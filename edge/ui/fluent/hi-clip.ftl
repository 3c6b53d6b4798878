### Messages of clips: the recorder, and how far one has come. Not yet read by a native-speaking clinician.

media-clip-record = छोटा वीडियो बनाएँ
media-clip-making = छोटा किया जा रहा है…
media-clip-alt = { $time } का वीडियो
media-clip-first = वीडियो की पहली तस्वीर
media-clip-comes = वीडियो आ रहा है: { $all } में से { $n } हिस्से
error-clip-failed = रिकॉर्डिंग से वीडियो नहीं बन सका। फिर से रिकॉर्ड करें।
error-clip-codec = इस ब्राउज़र की रिकॉर्डिंग यहाँ नहीं पढ़ी जाती। पेज को Chrome में खोलें।
clip-title = छोटा वीडियो बनाएँ
clip-picture = कैमरे की तस्वीर
clip-opening = कैमरा खुल रहा है…
clip-ready = तैयार: अधिक से अधिक { $most } सेकंड
clip-running = { $most } में से { $seconds } सेकंड
clip-start = रिकॉर्ड करें
clip-stop = रोकें और रखें
clip-no-camera = कैमरा या माइक नहीं खुला। ब्राउज़र में अनुमति दें, फिर कोशिश करें।
clip-own = केंद्र के कैमरे से वीडियो
clip-own-stop = रोकें और रखें ({ $seconds } से.)
error-clip-busy = केंद्र का कैमरा अभी काम में है। उसके बाद फिर कोशिश करें।
error-clip-no-camera = केंद्र का कैमरा नहीं खुला। उसका तार देखें।
