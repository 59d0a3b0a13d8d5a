/*
 * Notes of files' hashes: a folder remembers what files of certain inodes, sizes and times hash to,
 * which spares reading them again. Of files changed within the last two seconds there are no notes,
 * since their times might not tell of another change. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <xxhash.h>

enum {
	/* A hash as text: 16 bytes in hex, and a NUL. */
	KNOWN_HASH_BYTES = 33,
	/* Notes that a folder keeps. */
	KNOWN_NOTES_MAX = 1024,
};

/* One or more files as they are now. */
struct known {
	/* Of what tells this state of the files from another, as git and make have it. */
	XXH128_hash_t stamp;
	/* One of them was changed just now. */
	bool is_young;
};

/* One more file; *known begins as { 0 }. */
void
known_add(struct known *known, const struct stat *file);

/* The hash that the folder has a note of. */
bool
known_find(const struct known *known, const char *folder, char hash[KNOWN_HASH_BYTES]);

/*
 * Note it. path: the first of the files, by which the note is dropped when another is made and that
 * file has gone or changed. Failures are logged. Blocks.
 */
void
known_note(const struct known *known, const char *folder, const char *path, const char *hash);

void
known_format(XXH128_hash_t hash, char text[KNOWN_HASH_BYTES]);
