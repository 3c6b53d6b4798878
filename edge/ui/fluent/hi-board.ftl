### Messages of the public board.

board-now = अब बुलाया गया टोकन
board-next = इनके बाद
board-before = पहले बुलाए गए
board-more = और { $n } इंतज़ार में
board-nobody = अभी किसी को नहीं बुलाया गया है।
board-locked = थोड़ा रुकें। टोकन जल्दी दिखेंगे।
board-away = डिब्बे से जवाब नहीं आ रहा। अपने आप फिर जुड़ेगा।
board-sound = आवाज़ चालू करें
