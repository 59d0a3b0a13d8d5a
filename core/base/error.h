/*
 * Errors. A function that can fail returns 0/-1 or a pointer/NULL and sets the calling thread's error where the failure
 * is first seen. Callers pass it up; those that know more add a prefix with error_wrap. Codes and names are gRPC's.
 */
#pragma once

#include <stdbool.h>

/* X(name, number): the one list that feeds this enum, the wire and Lua. Numbers are gRPC's and stay as they are. */
#define ERROR_CODES(X)                                                                             \
	X(OK, 0)                                                                                   \
	X(CANCELLED, 1)                                                                            \
	X(UNKNOWN, 2)                                                                              \
	X(INVALID_ARGUMENT, 3)                                                                     \
	X(DEADLINE_EXCEEDED, 4)                                                                    \
	X(NOT_FOUND, 5)                                                                            \
	X(ALREADY_EXISTS, 6)                                                                       \
	X(PERMISSION_DENIED, 7)                                                                    \
	X(RESOURCE_EXHAUSTED, 8)                                                                   \
	X(FAILED_PRECONDITION, 9)                                                                  \
	X(ABORTED, 10)                                                                             \
	X(OUT_OF_RANGE, 11)                                                                        \
	X(UNIMPLEMENTED, 12)                                                                       \
	X(INTERNAL, 13)                                                                            \
	X(UNAVAILABLE, 14)                                                                         \
	X(DATA_LOSS, 15)                                                                           \
	X(UNAUTHENTICATED, 16)

enum error_code {
#define X(name, number) ERR_##name = number,
	ERROR_CODES(X)
#undef X
};

enum { ERROR_MESSAGE_BYTES = 1024 };

/* One error. A plain value: copy it to carry it to another thread. */
struct error {
	enum error_code code;
	/* Names the field, value and limit concerned; no trailing newline or full stop. */
	char message[ERROR_MESSAGE_BYTES];
	/* Where it was first seen. */
	const char *file;
	int line;
};

/* Set the calling thread's error; always returns -1, so that `return error_set(...)` reads well. */
#define error_set(code, ...) error_set_at(__FILE__, __LINE__, code, __VA_ARGS__)
#define error_wrap(...) error_wrap_at(__VA_ARGS__)

int
error_set_at(const char *file, int line, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* As error_set from errno: NOT_FOUND for ENOENT, RESOURCE_EXHAUSTED for ENOMEM/ENOSPC/EMFILE, …; appends strerror. */
#define error_set_errno(...) error_set_errno_at(__FILE__, __LINE__, __VA_ARGS__)
int
error_set_errno_at(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "PREFIX: " before the calling thread's error message; returns -1. Code and place stay. */
int
error_wrap_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The calling thread's last error. Never NULL; its code is ERR_OK when nothing was set. */
const struct error *
error_last(void);

/* Make *error the calling thread's error (for one that came from another thread); returns -1. */
int
error_restore(const struct error *error);

/* Forget the calling thread's error. */
void
error_clear(void);

/* "NOT_FOUND" for ERR_NOT_FOUND; "UNKNOWN" for a number that is no code. */
const char *
error_code_name(int code);

/* The code with that name, or -1. */
int
error_code_from_name(const char *name);
