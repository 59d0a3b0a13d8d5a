#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { COPY_BYTES = 1 << 20 };

/* Of temporary files, by which those are known that an interrupted write has left. */
static const char unfinished[] = ".unfinished";

static int
read_all(int fd, char *data, size_t bytes)
{
	size_t got = 0;
	while (got < bytes) {
		ssize_t count = read(fd, data + got, bytes - got);
		if (count > 0) {
			got += (size_t)count;
		} else if (count == 0 || errno != EINTR) {
			errno = count == 0 ? EIO : errno;
			return -1;
		}
	}
	return 0;
}

/* Open a regular file of at most limit bytes for reading; its descriptor, or -1 with the error set. */
static int
open_limited(const char *path, size_t limit, size_t *bytes)
{
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return error_set_errno("%s", path);
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
		error_set(ERR_INVALID_ARGUMENT, "%s: not a regular file", path);
	else if ((uint64_t)info.st_size > limit)
		error_set(ERR_RESOURCE_EXHAUSTED, "%s: %lld bytes, at most %zu", path,
			  (long long)info.st_size, limit);
	else {
		*bytes = (size_t)info.st_size;
		return fd;
	}
	close(fd);
	return -1;
}

void *
file_read(const char *path, size_t limit, size_t *bytes)
{
	int fd = open_limited(path, limit, bytes);
	if (fd == -1)
		return NULL;
	char *data = malloc(*bytes + 1);
	if (data == NULL || read_all(fd, data, *bytes) != 0) {
		error_set_errno("%s", path);
		free(data);
		data = NULL;
	} else {
		data[*bytes] = '\0';
	}
	close(fd);
	return data;
}

void *
file_map(const char *path, size_t *bytes)
{
	int fd = open_limited(path, SIZE_MAX, bytes);
	if (fd == -1)
		return NULL;
	void *data = MAP_FAILED;
	if (*bytes == 0)
		errno = ENODATA;
	else
		data = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		error_set(ERR_DATA_LOSS, "%s: cannot be mapped: %s", path, strerror(errno));
	close(fd);
	return data == MAP_FAILED ? NULL : data;
}

ssize_t
file_read_into(const char *path, void *buffer, size_t room)
{
	size_t bytes;
	int fd = open_limited(path, room, &bytes);
	if (fd == -1)
		return -1;
	int status = read_all(fd, buffer, bytes);
	if (status != 0)
		error_set_errno("%s", path);
	close(fd);
	return status == 0 ? (ssize_t)bytes : -1;
}

static int
write_all(int fd, const char *data, size_t bytes)
{
	while (bytes > 0) {
		ssize_t count = write(fd, data, bytes);
		if (count < 0 && errno != EINTR)
			return -1;
		if (count > 0) {
			data += count;
			bytes -= (size_t)count;
		}
	}
	return 0;
}

static int
sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		slash[slash == folder] = '\0';
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	int status = fsync(fd);
	close(fd);
	return status;
}

/* A temporary file beside path, open; its name is written to temporary. */
static int
open_temporary(const char *path, char temporary[PATH_MAX])
{
	if (snprintf(temporary, PATH_MAX, "%s.XXXXXX%s", path, unfinished) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return mkostemps(temporary, sizeof(unfinished) - 1, O_CLOEXEC);
}

/* Make the temporary file the one at path; takes fd. */
static int
commit(int fd, const char *temporary, const char *path, int status)
{
	if (status == 0)
		status = fsync(fd);
	if (close(fd) != 0 && status == 0)
		status = -1;
	if (status == 0)
		status = rename(temporary, path);
	if (status == 0)
		return sync_folder_of(path) == 0 ? 0 : error_set_errno("%s: folder", path);
	error_set_errno("%s", path);
	unlink(temporary);
	return -1;
}

int
file_write_parts(const char *path, const struct file_part *parts, size_t count)
{
	char temporary[PATH_MAX];
	int fd = open_temporary(path, temporary), status = 0;
	if (fd == -1)
		return error_set_errno("%s", path);
	for (size_t i = 0; i < count && status == 0; i++)
		status = write_all(fd, parts[i].data, parts[i].bytes);
	return commit(fd, temporary, path, status);
}

int
file_write(const char *path, const void *data, size_t bytes)
{
	return file_write_parts(path, &(struct file_part){ data, bytes }, 1);
}

static int
copy_all(int from, int to)
{
	char *buffer = malloc(COPY_BYTES);
	ssize_t count = buffer == NULL ? -1 : 1;
	off_t at = 0;
	int status = 0;
	while (count > 0 && status == 0) {
		count = read(from, buffer, COPY_BYTES);
		if (count < 0 && errno == EINTR)
			count = 1;
		else if (count > 0)
			status = write_all(to, buffer, (size_t)count);
		/* The disk begins at once, so that the fsync at the end has little to wait for. */
		(void)sync_file_range(to, at, count, SYNC_FILE_RANGE_WRITE);
		at += count;
	}
	free(buffer);
	return count < 0 ? -1 : status;
}

int
file_copy(const char *from, const char *path)
{
	char temporary[PATH_MAX];
	int source = open(from, O_RDONLY | O_CLOEXEC);
	if (source == -1)
		return error_set_errno("%s", from);
	int fd = open_temporary(path, temporary);
	int status = -1;
	if (fd == -1)
		error_set_errno("%s", path);
	else
		status = commit(fd, temporary, path, copy_all(source, fd));
	close(source);
	return status;
}

int
file_remove(const char *path)
{
	return unlink(path) == 0 || errno == ENOENT ? 0 : error_set_errno("%s", path);
}

int
file_make_folder(const char *path)
{
	char part[PATH_MAX];
	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return error_set(ERR_INVALID_ARGUMENT, "%s: the path is too long", path);
	for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return error_set_errno("%s", part);
		*slash = '/';
	}
	if (mkdir(part, 0700) != 0 && errno != EEXIST)
		return error_set_errno("%s", part);
	return 0;
}

/* Say in the error who has the lock. Always -1. */
static int
refuse_lock(int fd, const char *path)
{
	char owner[32] = "";
	if (errno != EWOULDBLOCK)
		return error_set_errno("%s", path);
	ssize_t count = read(fd, owner, sizeof(owner) - 1);
	owner[count > 0 ? count : 0] = '\0';
	owner[strcspn(owner, "\n")] = '\0';
	return error_set(ERR_FAILED_PRECONDITION, "%s: locked by process %s", path,
			 owner[0] != '\0' ? owner : "?");
}

int
file_lock(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return error_set_errno("%s", path);
	int status = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : refuse_lock(fd, path);
	if (status == 0 && (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0))
		status = error_set_errno("%s", path);
	if (status == 0)
		return fd;
	close(fd);
	return -1;
}

static int
ends_in(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);
	return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

int
file_each(const char *folder, const char *suffix, file_visit_f *visit, void *context)
{
	DIR *entries = opendir(folder);
	if (entries == NULL)
		return error_set_errno("%s", folder);
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		struct stat info;
		if (ends_in(entry->d_name, suffix) &&
		    fstatat(dirfd(entries), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
			visit(context, entry->d_name);
	}
	closedir(entries);
	return 0;
}

int
file_unfinished_name(const char *path, char *name)
{
	if (snprintf(name, PATH_MAX, "%s%s", path, unfinished) < PATH_MAX)
		return 0;
	return error_set(ERR_INVALID_ARGUMENT, "%s: the path is too long", path);
}

static void
remove_unfinished(void *context, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", (const char *)context, name);
	unlink(path);
}

int
file_sweep(const char *folder)
{
	return file_each(folder, unfinished, remove_unfinished, (void *)(uintptr_t)folder);
}
