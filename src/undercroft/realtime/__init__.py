"""Live changes: sockets, channels, presence, and the feed of table changes behind them."""
