"""What attachments are made of: parts in a storage, a type, a preview. Who may is decided above."""
