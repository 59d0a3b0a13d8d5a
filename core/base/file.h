/*
 * Whole files: read with a limit, written so that a reader, a crash or a loss of power finds the old content or the new and
 * nothing between. All of it may block. Errors name the path.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The whole file, malloc'd, with a NUL behind it that *bytes does not count. NULL: NOT_FOUND, RESOURCE_EXHAUSTED over limit
 * bytes.
 */
void *
file_read(const char *path, size_t limit, size_t *bytes);

/* The whole file into room bytes at buffer, allocating nothing; its length, or -1 as above. */
ssize_t
file_read_into(const char *path, void *buffer, size_t room);

/*
 * The whole file, mapped to be read; the caller's to unmap. NULL: NOT_FOUND, INVALID_ARGUMENT for a folder, DATA_LOSS for one
 * that is empty or cannot be mapped.
 */
void *
file_map(const char *path, size_t *bytes);

/* Write path whole: a temporary file beside it, fsync, rename, fsync of the folder. */
int
file_write(const char *path, const void *data, size_t bytes);

/* A piece of a file to be. */
struct file_part {
	const void *data;
	size_t bytes;
};

/* As file_write, of pieces that follow one another. */
int
file_write_parts(const char *path, const struct file_part *parts, size_t count);

/* As file_write, with the content of another file. */
int
file_copy(const char *from, const char *path);

/* 0 also when there is no such file. */
int
file_remove(const char *path);

/* The folder and those above it that are missing, with mode 0700. */
int
file_make_folder(const char *path);

/* Call visit with the name of each regular file in the folder whose name ends in suffix, in no order. */
typedef void
file_visit_f(void *context, const char *name);
int
file_each(const char *folder, const char *suffix, file_visit_f *visit, void *context);

/*
 * Make the file at path, if it is missing, and lock it for this process, whose number is written
 * there, until the descriptor that is returned is closed or the process ends, in whatever way. -1:
 * FAILED_PRECONDITION, which process has it locked.
 */
int
file_lock(const char *path);

/* The name, PATH_MAX bytes, of a file beside path that file_sweep removes: for what is on its way out. 0 or -1: too long. */
int
file_unfinished_name(const char *path, char *name);

/* Remove the temporary files that interrupted writes have left in the folder; nobody may be writing there. 0 or -1. */
int
file_sweep(const char *folder);
