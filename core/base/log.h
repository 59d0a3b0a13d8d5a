/*
 * The node's log: one line an entry on standard error, `TIME LEVEL message`. Any thread; a line is written by one call.
 */
#pragma once

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
	LOG_OFF,
};

/* Entries below level are dropped. The start value is LOG_INFO. */
void
log_set_level(enum log_level level);

/* The level named "debug", "info", "warn", "error" or "off"; -1 when none is. */
int
log_level_from_name(const char *name);

void
log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
