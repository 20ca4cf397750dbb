"""The local web page: what the store knows, in a browser of this machine. It reads, and never writes.

It needs the extra ``web``: starlette, uvicorn and Jinja2.
"""
