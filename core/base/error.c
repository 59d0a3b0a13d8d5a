#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct error last;

int
error_set_at(const char *file, int line, enum error_code code, const char *format, ...)
{
	struct error next = { .code = code, .file = file, .line = line };
	va_list args;
	va_start(args, format);
	vsnprintf(next.message, sizeof(next.message), format, args);
	va_end(args);
	/* Formatted aside: an argument may be the last message itself. */
	last = next;
	return -1;
}

static enum error_code
code_of_errno(int number)
{
	switch (number) {
	case ENOENT:
	case ENODEV:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_ALREADY_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION_DENIED;
	case ENOMEM:
	case ENOSPC:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
		return ERR_RESOURCE_EXHAUSTED;
	case EINVAL:
		return ERR_INVALID_ARGUMENT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
		return ERR_UNAVAILABLE;
	default:
		return ERR_INTERNAL;
	}
}

int
error_set_errno_at(const char *file, int line, const char *format, ...)
{
	int number = errno;
	char text[ERROR_MESSAGE_BYTES / 2];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set_at(file, line, code_of_errno(number), "%s: %s", text, strerror(number));
}

int
error_wrap_at(const char *format, ...)
{
	char prefix[ERROR_MESSAGE_BYTES / 2];
	char message[ERROR_MESSAGE_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(prefix, sizeof(prefix), format, args);
	va_end(args);
	memcpy(message, last.message, sizeof(message));
	size_t used = strlen(prefix);
	memcpy(last.message, prefix, used);
	snprintf(last.message + used, sizeof(last.message) - used, ": %s", message);
	return -1;
}

const struct error *
error_last(void)
{
	return &last;
}

int
error_restore(const struct error *error)
{
	last = *error;
	return -1;
}

void
error_clear(void)
{
	last = (struct error){ .code = ERR_OK };
}

const char *
error_code_name(int code)
{
	switch (code) {
#define X(name, number)                                                                            \
	case number:                                                                               \
		return #name;
		ERROR_CODES(X)
#undef X
	default:
		return "UNKNOWN";
	}
}

int
error_code_from_name(const char *name)
{
#define X(code, number)                                                                            \
	if (strcmp(name, #code) == 0)                                                              \
		return number;
	ERROR_CODES(X)
#undef X
	return -1;
}
