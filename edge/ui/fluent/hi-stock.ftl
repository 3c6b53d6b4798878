### Messages of the shelf.

stock-title = दवा की अलमारी
stock-hint = दवा छूकर गिनती या आई हुई दवा लिखें। डॉक्टर को यही दिखता है।
stock-search = दवा खोजें
stock-units = { $n } हैं
stock-unknown = गिनी नहीं
stock-counted = { $date } को गिनी
stock-book = खाते में { $n } हैं।
stock-amount = कितनी
stock-batch = बैच (आई हुई दवा का)
stock-expires = कब तक चलेगी
stock-count = इतनी गिनी
stock-receive = इतनी आई
