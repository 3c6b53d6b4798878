### Messages of the shelf.

stock-title = The shelf
stock-hint = Touch a medicine to write down what you counted or what came in. The doctor sees the same.
stock-search = Find a medicine
stock-units = { $n } there
stock-unknown = not counted
stock-counted = counted on { $date }
stock-book = The book says { $n }.
stock-amount = How many
stock-batch = Batch (of what came in)
stock-expires = Good until
stock-count = So many counted
stock-receive = So many came in
