### What the hub says of a wait.

expected-waiting = डॉक्टर लगभग { $low }–{ $high } मिनट में ({ $at } पर बताया)
expected-nobody = इस मरीज़ के लिए अभी कोई डॉक्टर नहीं है। समन्वयक को पता है ({ $at } से)।
expected-closed = अभी कोई डॉक्टर नहीं बैठे हैं।
expected-opens = डॉक्टर फिर बैठेंगे: { $when }
