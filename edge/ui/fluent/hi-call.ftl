### Messages of the line before a call: what will work now. Not yet read by a native-speaking clinician.

preflight-checking = देख रहे हैं कि क्या चलेगा…
preflight-expected = क्या चलेगा: { $carries }
preflight-sound = क्या चलेगा: केवल आवाज़; केस के लिए फ़ोटो लें
preflight-case = कॉल अभी मुश्किल से चलेगी: केस, फ़ोटो और आवाज़ का संदेश पहुँच जाएँगे
preflight-unknown = लिंक नापा नहीं जा सका: कॉल में ही दिखेगा कि क्या चलता है
preflight-saving = आज का डेटा बचाने के लिए नहीं नापा: कॉल में ही दिखेगा कि क्या चलता है
preflight-offline = अभी लिंक नहीं है: केस लिखें, लिंक आते ही चला जाएगा
preflight-camera-denied = ब्राउज़र कैमरे की अनुमति नहीं देता
preflight-camera-missing = कैमरा नहीं मिला
preflight-camera-busy = कैमरा नहीं खुल रहा
preflight-camera-off = कैमरा बंद है
preflight-microphone-denied = ब्राउज़र माइक की अनुमति नहीं देता: डॉक्टर को कुछ सुनाई नहीं देगा
preflight-microphone-missing = माइक नहीं मिला: डॉक्टर को कुछ सुनाई नहीं देगा
preflight-microphone-busy = माइक नहीं खुल रहा: डॉक्टर को कुछ सुनाई नहीं देगा
preflight-microphone-off = माइक बंद है: डॉक्टर को कुछ सुनाई नहीं देगा
preflight-sound-off = डॉक्टर की आवाज़ सुनने के लिए स्क्रीन को एक बार छुएँ
