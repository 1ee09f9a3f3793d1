"""The database over HTTP (the extra `aeordb[server]`)."""
