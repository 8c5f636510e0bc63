"""The pictures and videos that tasks return. Nothing here knows of HTTP, accounts or tasks."""
