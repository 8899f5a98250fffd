"""Files into tables and tables into files, streamed by COPY."""
