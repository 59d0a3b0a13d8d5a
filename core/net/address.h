/*
 * Addresses to listen on: "127.0.0.1:7420", "[::1]:7420", "localhost:7420", or a path for a Unix socket.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	/* AF_UNIX, AF_INET or AF_INET6. */
	int family;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} as;
};

/* "unix:PATH", or text with a slash, is a path. Names other than localhost are not looked up. INVALID_ARGUMENT. */
int
address_parse(const char *text, struct address *address) __attribute__((warn_unused_result));

/* The port, 0 of a Unix socket. */
int
address_port(const struct address *address);

/* Whether only this machine can be there: 127/8, ::1, or a Unix socket. */
bool
address_is_loopback(const struct address *address);

/* "127.0.0.1:7420", "[::1]:7420", "unix". */
void
address_format(const struct address *address, char *text, int bytes);

/*
 * Remove a Unix socket file that nobody listens on any more. -1 with FAILED_PRECONDITION when somebody does, or when what
 * lies there is not a socket; NOT_FOUND when its folder is missing. May block for the time of a connect to the same machine.
 */
int
address_remove_stale(const struct address *address) __attribute__((warn_unused_result));
