"""What the conversations are held with: homes of a service, and clients."""
