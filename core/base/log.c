#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048 };

static const char *const level_names[] = { "debug", "info", "warn", "error", "off" };

static atomic_int threshold = LOG_INFO;

void
log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

int
log_level_from_name(const char *name)
{
	for (int i = LOG_DEBUG; i <= LOG_OFF; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -1;
}

/* Writes "2026-01-31T12:00:00.123Z warn  " to line; returns its length. */
static size_t
write_prefix(char *line, size_t room, enum log_level level)
{
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t used = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, room - used, ".%03ldZ %-5s ", now.tv_nsec / 1000000,
				 level_names[level]);
	return used;
}

void
log_write(enum log_level level, const char *format, ...)
{
	if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed))
		return;
	char line[LINE_BYTES];
	size_t used = write_prefix(line, sizeof(line), level);
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (length > 0)
		used += (size_t)length < sizeof(line) - used - 1 ? (size_t)length
								 : sizeof(line) - used - 2;
	line[used++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written; /* There is nowhere left to report it. */
}
