"""The pages: what each shows, without how it looks."""
