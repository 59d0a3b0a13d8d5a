#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static int
parse_path(const char *path, struct address *address)
{
	size_t length = strlen(path);
	if (length == 0 || length >= sizeof(address->as.un.sun_path))
		return error_set(ERR_INVALID_ARGUMENT,
				 "address: path of %zu bytes, a Unix socket's has 1 to %zu", length,
				 sizeof(address->as.un.sun_path) - 1);
	address->family = AF_UNIX;
	address->as.un.sun_family = AF_UNIX;
	memcpy(address->as.un.sun_path, path, length + 1);
	return 0;
}

static int
parse_port(const char *text, in_port_t *port)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || value > 65535)
		return error_set(ERR_INVALID_ARGUMENT, "address: port \"%s\" is not 0 to 65535",
				 text);
	*port = htons((in_port_t)value);
	return 0;
}

static int
parse_host(const char *host, in_port_t port, struct address *address)
{
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &address->as.in.sin_addr) == 1) {
		address->family = address->as.in.sin_family = AF_INET;
		address->as.in.sin_port = port;
		return 0;
	}
	if (inet_pton(AF_INET6, host, &address->as.in6.sin6_addr) == 1) {
		address->family = address->as.in6.sin6_family = AF_INET6;
		address->as.in6.sin6_port = port;
		return 0;
	}
	return error_set(ERR_INVALID_ARGUMENT, "address: \"%s\" is no IP address", host);
}

int
address_parse(const char *text, struct address *address)
{
	char host[64];
	in_port_t port = 0;
	memset(address, 0, sizeof(*address));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_path(text + 5, address);
	if (strchr(text, '/') != NULL)
		return parse_path(text, address);
	const char *colon = strrchr(text, ':');
	if (colon == NULL)
		return error_set(ERR_INVALID_ARGUMENT,
				 "address: \"%s\" is neither HOST:PORT nor a path", text);
	if (parse_port(colon + 1, &port) != 0)
		return -1;
	size_t length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= sizeof(host))
		return error_set(ERR_INVALID_ARGUMENT, "address: a host of %zu bytes", length);
	memcpy(host, text, length);
	host[length] = '\0';
	return parse_host(host, port, address);
}

int
address_port(const struct address *address)
{
	if (address->family == AF_INET)
		return ntohs(address->as.in.sin_port);
	return address->family == AF_INET6 ? ntohs(address->as.in6.sin6_port) : 0;
}

bool
address_is_loopback(const struct address *address)
{
	const struct in6_addr *in6 = &address->as.in6.sin6_addr;
	if (address->family == AF_INET)
		return (ntohl(address->as.in.sin_addr.s_addr) >> 24) == 127;
	if (address->family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(in6) ||
		       (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
	return address->family == AF_UNIX;
}

void
address_format(const struct address *address, char *text, int bytes)
{
	char host[INET6_ADDRSTRLEN];
	if (address->family == AF_INET) {
		inet_ntop(AF_INET, &address->as.in.sin_addr, host, sizeof(host));
		snprintf(text, (size_t)bytes, "%s:%d", host, address_port(address));
	} else if (address->family == AF_INET6) {
		inet_ntop(AF_INET6, &address->as.in6.sin6_addr, host, sizeof(host));
		snprintf(text, (size_t)bytes, "[%s]:%d", host, address_port(address));
	} else {
		snprintf(text, (size_t)bytes, "unix");
	}
}

/* Whether a server answers there. */
static bool
is_alive(const struct address *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	bool alive = connect(fd, &address->as.any, sizeof(address->as.un)) == 0 ||
		     (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return alive;
}

/* libuv would call a folder that is missing a lack of permission. */
static int
check_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);
	if (length == 0)
		return 0;
	memcpy(folder, path, length);
	folder[length] = '\0';
	return access(folder, F_OK) == 0 ? 0 : error_set_errno("%s: folder", path);
}

int
address_remove_stale(const struct address *address)
{
	const char *path = address->as.un.sun_path;
	struct stat status;
	if (lstat(path, &status) != 0)
		return errno == ENOENT ? check_folder(path) : error_set_errno("%s", path);
	if (!S_ISSOCK(status.st_mode))
		return error_set(ERR_FAILED_PRECONDITION, "%s: exists and is not a socket", path);
	if (is_alive(address))
		return error_set(ERR_FAILED_PRECONDITION, "%s: address already in use", path);
	return unlink(path) == 0 ? 0 : error_set_errno("%s", path);
}
