#include "exec/cuda/findings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

enum {
	FORMAT = 1,
	FILE_LIMIT = 64 << 20,
	IDENTITY_BYTES = 256,
};

static const char magic[8] = "TPFINDS";

/* What the file begins with; behind it come the findings, each its lengths, its key with the NUL, and its value. */
struct file_header {
	char magic[sizeof(magic)];
	uint32_t format;
	uint32_t count;
	/* XXH3 of all that is behind the header. */
	uint64_t checksum;
	char identity[IDENTITY_BYTES];
};

struct file_lengths {
	uint32_t key_bytes;
	uint32_t value_bytes;
};

struct findings {
	/* Empty: nothing is written. */
	char path[PATH_MAX];
	char identity[IDENTITY_BYTES];
	/* In the order in which they were added; key and value are one allocation, the key's. */
	struct finding *list;
	uint32_t count;
	uint32_t room;
	bool is_changed;
	bool has_warned;
};

/* --- the list ------------------------------------------------------------------------------------------------------------ */

static uint32_t
place_of(const struct findings *findings, const char *key)
{
	uint32_t at = 0;
	while (at < findings->count && strcmp(findings->list[at].key, key) != 0)
		at++;
	return at;
}

const struct finding *
findings_find(const struct findings *findings, const char *key)
{
	uint32_t at = place_of(findings, key);
	return at < findings->count ? &findings->list[at] : NULL;
}

static void
remove_at(struct findings *findings, uint32_t at)
{
	free((void *)findings->list[at].key);
	findings->count--;
	memmove(&findings->list[at], &findings->list[at + 1],
		(findings->count - at) * sizeof(findings->list[0]));
	findings->is_changed = true;
}

void
findings_remove(struct findings *findings, const char *key)
{
	uint32_t at = place_of(findings, key);
	if (at < findings->count)
		remove_at(findings, at);
}

static bool
make_room(struct findings *findings)
{
	if (findings->count == FINDINGS_MOST)
		remove_at(findings, 0);
	if (findings->count < findings->room)
		return true;
	uint32_t room = findings->room != 0 ? 2 * findings->room : 64;
	struct finding *list = realloc(findings->list, room * sizeof(list[0]));
	if (list == NULL)
		return false;
	findings->list = list;
	findings->room = room;
	return true;
}

void
findings_add(struct findings *findings, const char *key, const void *value, size_t bytes)
{
	size_t key_bytes = strlen(key) + 1;
	char *memory = bytes <= FINDING_BYTES ? malloc(key_bytes + bytes) : NULL;
	findings_remove(findings, key);
	if (memory == NULL || !make_room(findings)) {
		free(memory);
		return;
	}
	memcpy(memory, key, key_bytes);
	if (bytes != 0)
		memcpy(memory + key_bytes, value, bytes);
	findings->list[findings->count++] = (struct finding){ .key = memory,
							      .value = memory + key_bytes,
							      .bytes = (uint32_t)bytes };
	findings->is_changed = true;
}

/* --- the file ------------------------------------------------------------------------------------------------------------ */

/* Add what lies in bytes at `at`; false when it is not count findings, to the byte. */
static bool
read_all(struct findings *findings, const char *at, size_t bytes, uint32_t count)
{
	struct file_lengths lengths;
	for (uint32_t i = 0; i < count; i++) {
		if (bytes < sizeof(lengths))
			return false;
		memcpy(&lengths, at, sizeof(lengths));
		at += sizeof(lengths);
		bytes -= sizeof(lengths);
		if (lengths.key_bytes == 0 || lengths.key_bytes > bytes ||
		    lengths.value_bytes > bytes - lengths.key_bytes ||
		    at[lengths.key_bytes - 1] != 0)
			return false;
		findings_add(findings, at, at + lengths.key_bytes, lengths.value_bytes);
		at += lengths.key_bytes + lengths.value_bytes;
		bytes -= lengths.key_bytes + lengths.value_bytes;
	}
	return bytes == 0;
}

/* NULL: read, or of another identity; else what is wrong with the file. */
static const char *
parse(struct findings *findings, const char *data, size_t bytes)
{
	struct file_header header;
	if (bytes < sizeof(header))
		return "it is cut off";
	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	bytes -= sizeof(header);
	if (memcmp(header.magic, magic, sizeof(magic)) != 0 || header.format != FORMAT)
		return "it is of another format";
	if (header.checksum != XXH3_64bits(data, bytes))
		return "its checksum does not fit";
	if (memcmp(header.identity, findings->identity, IDENTITY_BYTES) != 0)
		return NULL;
	return read_all(findings, data, bytes, header.count) ? NULL : "its lengths do not fit";
}

static void
forget_all(struct findings *findings)
{
	while (findings->count != 0)
		remove_at(findings, findings->count - 1);
}

static void
load(struct findings *findings)
{
	size_t bytes;
	char *data = file_read(findings->path, FILE_LIMIT, &bytes);
	const char *problem = NULL;
	if (data != NULL)
		problem = parse(findings, data, bytes);
	else if (error_last()->code != ERR_NOT_FOUND)
		problem = error_last()->message;
	if (problem != NULL) {
		forget_all(findings);
		log_warn("%s is not used: %s", findings->path, problem);
	} else if (findings->count != 0)
		log_info("%s: %u plans for %s", findings->path, findings->count,
			 findings->identity);
	error_clear();
	free(data);
	findings->is_changed = false;
}

struct findings *
findings_new(const char *folder, const char *identity)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	if (findings == NULL)
		return NULL;
	snprintf(findings->identity, sizeof(findings->identity), "%s", identity);
	if (folder == NULL)
		return findings;
	snprintf(findings->path, sizeof(findings->path), "%s/cuda.findings", folder);
	load(findings);
	return findings;
}

static size_t
file_bytes(const struct findings *findings)
{
	size_t bytes = sizeof(struct file_header);
	for (uint32_t i = 0; i < findings->count; i++)
		bytes += sizeof(struct file_lengths) + strlen(findings->list[i].key) + 1 +
			 findings->list[i].bytes;
	return bytes;
}

static void
write_all(const struct findings *findings, char *data, size_t bytes)
{
	struct file_header header = { .format = FORMAT, .count = findings->count };
	char *at = data + sizeof(header);
	for (uint32_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->list[i];
		struct file_lengths lengths = { (uint32_t)strlen(finding->key) + 1,
						finding->bytes };
		memcpy(at, &lengths, sizeof(lengths));
		/* The value lies behind the key. */
		memcpy(at + sizeof(lengths), finding->key, lengths.key_bytes + finding->bytes);
		at += sizeof(lengths) + lengths.key_bytes + finding->bytes;
	}
	memcpy(header.magic, magic, sizeof(magic));
	memcpy(header.identity, findings->identity, IDENTITY_BYTES);
	header.checksum = XXH3_64bits(data + sizeof(header), bytes - sizeof(header));
	memcpy(data, &header, sizeof(header));
}

void
findings_save(struct findings *findings)
{
	if (!findings->is_changed || findings->path[0] == 0)
		return;
	size_t bytes = file_bytes(findings);
	char *data = malloc(bytes);
	if (data == NULL)
		return;
	write_all(findings, data, bytes);
	findings->is_changed = false;
	if (file_write(findings->path, data, bytes) != 0) {
		if (!findings->has_warned)
			log_warn("plans are not kept: %s", error_last()->message);
		findings->has_warned = true;
		error_clear();
	}
	free(data);
}
