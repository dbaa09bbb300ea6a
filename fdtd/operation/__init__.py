"""What those see who run the daemon: logs, monitoring, the local socket, the certificate's end."""
