"""One-time codes and mailed links: secrets that prove who reads an address."""
