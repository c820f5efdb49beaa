"""Energy profiles: one TOML file each, joules per operation with their source and with what they leave out."""
