"""`/realtime/v1`: Phoenix channels as realtime-js and realtime-py speak them."""
