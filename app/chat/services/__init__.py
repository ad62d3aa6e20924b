"""Every write of the chat: one transaction each, recorded in the trail or not done."""
