"""Where information comes in: the spool with hook events and program records, and transcripts."""
