/*
 * The images of a node's models that were made and are not on disk yet: how many bytes of memory they may be. Until an image is
 * written nobody can drop it, so one that does not fit is written before anybody waits for the next. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct backlog {
	/* Bytes that may wait. */
	uint64_t room;
	_Atomic uint64_t bytes;
};

void
backlog_create(struct backlog *backlog, uint64_t room);

/* Count an image's bytes in; false, and they are not, when that is more than there is room for. */
bool
backlog_add(struct backlog *backlog, uint64_t bytes);

/* The image was written, or is gone. */
void
backlog_take(struct backlog *backlog, uint64_t bytes);
