#include "net/listener.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "net/address.h"
#include "net/connection.h"

enum { LISTENER_BACKLOG = 1024 };

static void
on_handle_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	server_unref(listener->server);
	free(listener);
}

void
listener_close(struct listener *listener)
{
	list_remove(&listener->link);
	uv_close(&listener->uv.handle, on_handle_closed);
}

static void
on_connection(uv_stream_t *stream, int status)
{
	struct listener *listener = stream->data;
	if (status != 0) {
		log_warn("accept: %s", uv_strerror(status));
		return;
	}
	listener->waiting =
		connection_accept(listener->server, &listener->uv.stream, listener->family) != 0;
	if (listener->waiting)
		log_error("accept: %s", error_last()->message);
}

void
listener_retry(struct listener *listener)
{
	if (listener->waiting)
		on_connection(&listener->uv.stream, 0);
}

/* The error of a libuv status while listening on that address. */
static int
listen_failed(const char *text, int status)
{
	enum error_code code = ERR_INTERNAL;
	if (status == UV_EADDRINUSE)
		code = ERR_FAILED_PRECONDITION;
	else if (status == UV_EADDRNOTAVAIL || status == UV_ENOENT || status == UV_EINVAL)
		code = ERR_INVALID_ARGUMENT;
	else if (status == UV_EACCES || status == UV_EPERM)
		code = ERR_PERMISSION_DENIED;
	else if (status == UV_EMFILE || status == UV_ENFILE || status == UV_ENOMEM)
		code = ERR_RESOURCE_EXHAUSTED;
	return error_set(code, "%s: %s", text, uv_strerror(status));
}

static int
bind_pipe(struct listener *listener, const char *text, const struct address *address)
{
	const char *path = address->as.un.sun_path;
	if (address_remove_stale(address) != 0)
		return -1;
	int status = uv_pipe_bind(&listener->uv.pipe, path);
	if (status != 0)
		return listen_failed(text, status);
	/* Nobody can connect before uv_listen, so there is no moment at which others may. */
	if (chmod(path, 0600) != 0)
		return error_set_errno("%s: chmod", text);
	return 0;
}

static int
bind_tcp(struct listener *listener, const char *text, const struct address *address)
{
	int status = uv_tcp_bind(&listener->uv.tcp, &address->as.any, 0);
	return status == 0 ? 0 : listen_failed(text, status);
}

static int
bound_port(struct listener *listener)
{
	struct address bound = { .family = listener->family };
	int length = sizeof(bound.as);
	if (listener->family == AF_UNIX ||
	    uv_tcp_getsockname(&listener->uv.tcp, &bound.as.any, &length) != 0)
		return 0;
	return address_port(&bound);
}

static int
bind_and_listen(struct listener *listener, const char *text, const struct address *address)
{
	int failed = listener->family == AF_UNIX ? bind_pipe(listener, text, address)
						 : bind_tcp(listener, text, address);
	if (failed != 0)
		return -1;
	int status = uv_listen(&listener->uv.stream, LISTENER_BACKLOG, on_connection);
	return status == 0 ? 0 : listen_failed(text, status);
}

int
listener_open(struct server *server, const char *text, int *port)
{
	struct address address;
	if (address_parse(text, &address) != 0)
		return -1;
	struct listener *listener = calloc(1, sizeof(*listener));
	if (listener == NULL)
		return error_set(ERR_RESOURCE_EXHAUSTED, "%s: no memory", text);
	int status = address.family == AF_UNIX ? uv_pipe_init(server->loop, &listener->uv.pipe, 0)
					       : uv_tcp_init(server->loop, &listener->uv.tcp);
	if (status != 0) {
		free(listener);
		return listen_failed(text, status);
	}
	listener->uv.handle.data = listener;
	listener->server = server_ref(server);
	listener->family = address.family;
	list_push_back(&server->listeners, &listener->link);
	if (bind_and_listen(listener, text, &address) != 0) {
		listener_close(listener);
		return -1;
	}
	*port = bound_port(listener);
	return 0;
}
