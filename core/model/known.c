#include "model/known.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

enum {
	/* A file that was changed so recently could be changed again without its times telling. */
	YOUNG_SECONDS = 2,
	/* A note: the hash, the stamp of the first file alone, its path. */
	NOTE_BYTES = 2 * KNOWN_HASH_BYTES + PATH_MAX,
};

static const char suffix[] = ".known";

/* What tells one state of a file from another, behind that of the files before it. */
struct stamp {
	XXH128_hash_t before;
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	struct timespec modified;
	struct timespec changed;
};

void
known_format(XXH128_hash_t hash, char text[KNOWN_HASH_BYTES])
{
	snprintf(text, KNOWN_HASH_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
}

void
known_add(struct known *known, const struct stat *file)
{
	struct stamp stamp = { known->stamp,  file->st_dev, file->st_ino, (uint64_t)file->st_size,
			       file->st_mtim, file->st_ctim };
	time_t now = time(NULL);
	known->stamp = XXH3_128bits(&stamp, sizeof(stamp));
	known->is_young = known->is_young || file->st_mtim.tv_sec + YOUNG_SECONDS >= now ||
			  file->st_ctim.tv_sec + YOUNG_SECONDS >= now;
}

/* Path in folder (PATH_MAX bytes) of the note on the files; -1 when there may be none. */
static int
note_path(const struct known *known, const char *folder, char *path)
{
	char name[KNOWN_HASH_BYTES];
	known_format(known->stamp, name);
	if (known->is_young ||
	    snprintf(path, PATH_MAX, "%s/%s%s", folder, name, suffix) >= PATH_MAX)
		return -1;
	return 0;
}

bool
known_find(const struct known *known, const char *folder, char hash[KNOWN_HASH_BYTES])
{
	char path[PATH_MAX], note[NOTE_BYTES];
	if (note_path(known, folder, path) != 0)
		return false;
	ssize_t bytes = file_read_into(path, note, sizeof(note));
	if (bytes < KNOWN_HASH_BYTES || note[KNOWN_HASH_BYTES - 1] != ' ') {
		error_clear();
		return false;
	}
	snprintf(hash, KNOWN_HASH_BYTES, "%s", note);
	return true;
}

/* --- dropping ----------------------------------------------------------------------------------------------------- */

/* A folder's notes while it is gone through. */
struct notes {
	const char *folder;
	uint32_t count;
	/* Of the note that was made first, among those that stay. */
	struct timespec oldest_time;
	char oldest[PATH_MAX];
};

/* Does the note speak of a file that is as it was? */
static bool
is_true(const char *path)
{
	char note[NOTE_BYTES + 1], stamp[KNOWN_HASH_BYTES];
	struct stat file;
	struct known now = { 0 };
	ssize_t bytes = file_read_into(path, note, NOTE_BYTES);
	if (bytes < 2 * KNOWN_HASH_BYTES) {
		error_clear();
		return false;
	}
	note[bytes] = '\0';
	if (stat(note + (ptrdiff_t)2 * KNOWN_HASH_BYTES, &file) != 0)
		return false;
	known_add(&now, &file);
	known_format(now.stamp, stamp);
	return strncmp(note + KNOWN_HASH_BYTES, stamp, KNOWN_HASH_BYTES - 1) == 0;
}

static void
look_at(void *context, const char *name)
{
	struct notes *notes = context;
	char path[PATH_MAX];
	struct stat info;
	snprintf(path, sizeof(path), "%s/%s", notes->folder, name);
	if (stat(path, &info) != 0)
		return;
	if (!is_true(path)) {
		unlink(path);
		return;
	}
	bool is_older = info.st_mtim.tv_sec < notes->oldest_time.tv_sec ||
			(info.st_mtim.tv_sec == notes->oldest_time.tv_sec &&
			 info.st_mtim.tv_nsec < notes->oldest_time.tv_nsec);
	if (notes->count++ == 0 || is_older) {
		notes->oldest_time = info.st_mtim;
		memcpy(notes->oldest, path, sizeof(path));
	}
}

/* Drop what is not true any more, and one that is when there are too many: notes are made one at a time. */
static void
drop_notes(const char *folder)
{
	struct notes notes = { .folder = folder };
	if (file_each(folder, suffix, look_at, &notes) != 0)
		error_clear();
	else if (notes.count > KNOWN_NOTES_MAX)
		unlink(notes.oldest);
}

void
known_note(const struct known *known, const char *folder, const char *path, const char *hash)
{
	char note_at[PATH_MAX], note[NOTE_BYTES], first[KNOWN_HASH_BYTES];
	struct stat file;
	struct known alone = { 0 };
	char *absolute = realpath(path, NULL);
	if (absolute == NULL || stat(absolute, &file) != 0 ||
	    note_path(known, folder, note_at) != 0) {
		free(absolute);
		return;
	}
	known_add(&alone, &file);
	known_format(alone.stamp, first);
	int bytes = snprintf(note, sizeof(note), "%s %s %s", hash, first, absolute);
	if (bytes < (int)sizeof(note) && file_write(note_at, note, (size_t)bytes) != 0) {
		log_write(LOG_WARN, "a file's hash is not kept: %s", error_last()->message);
		error_clear();
	}
	free(absolute);
	drop_notes(folder);
}
