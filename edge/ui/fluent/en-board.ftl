### Messages of the public board.

board-now = Token called now
board-next = Coming next
board-before = Called before
board-more = and { $n } more waiting
board-nobody = Nobody has been called yet.
board-locked = Please wait. Tokens will show soon.
board-away = The box does not answer. It reconnects by itself.
board-sound = Turn the sound on
