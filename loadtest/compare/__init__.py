"""`make compare`: one model served by Scoria, by its peers and by a bare HTTP server, measured in interleaved rounds."""
