"""What the harness ``pretrain`` emits, and how it looks at what was learned."""
