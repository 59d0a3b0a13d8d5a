/*
 * Packing: a model's parameters in the forms that its kernels want, in order of first use, cut into
 * groups. The entries say which constant lies where and how; they are stored with the image, so
 * that a program compiled later finds and uses the same forms. While open, entries are added, all
 * of them in group 0 until they are cut; once closed (the image exists) it is read only, and any
 * thread may look.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/graph.h"
#include "model/image.h"

enum {
	PACK_KEY_BYTES = 16,
	/* Of a kernel's descriptor of a packed form (oneDNN's memory descriptor has 696). */
	PACK_DESCRIPTOR_BYTES = 704,
	/* Of every parameter in the image. */
	PACK_ALIGNMENT = 64,
};

/* One constant in one form. Plain data: written to the image's file as it is. */
struct pack_entry {
	/* Index of the constant's value in the model's graph. */
	uint32_t value;
	uint32_t group;
	/* From the start of the group; of the image while nothing is cut. */
	uint64_t offset;
	uint64_t bytes;
	/* Kind of form: an operator's key, "" for as it is. */
	char key[PACK_KEY_BYTES];
	uint32_t descriptor_bytes;
	uint32_t reserved;
	unsigned char descriptor[PACK_DESCRIPTOR_BYTES];
};

struct onnx_files;

struct pack {
	/* The model's graph: constants are known by their address in it. */
	const struct graph *graph;
	size_t group_bytes;
	bool closed;
	uint32_t count;
	uint32_t room;
	struct pack_entry *entries;
	/*
	 * While open: the image's memory, so far; parameters are packed right where they are to be, so that a model is in
	 * memory once. Image_build takes it over or frees it.
	 */
	unsigned char *memory;
	/* Of its mapping. */
	size_t memory_bytes;
	/* The model's files, whose pages are let go of when what they hold was packed; NULL: none. */
	const struct onnx_files *files;
	/* Of all entries so far, before they are cut. */
	uint64_t bytes;
	uint32_t group_count;
	struct image_group *groups;
};

/* An empty, open pack. files: see above. */
void
pack_create(struct pack *pack, const struct graph *graph, size_t group_bytes,
	    const struct onnx_files *files);
void
pack_destroy(struct pack *pack);

/* The entry of that constant under that key, or NULL. */
const struct pack_entry *
pack_find(const struct pack *pack, const struct constant *constant, const char *key);

/* Index of the graph's value that has that constant; -1: it is not the model's own (folded for one program). */
int32_t
pack_value(const struct pack *pack, const struct constant *constant);

/*
 * A new entry of bytes for the model's constant, behind the others; *buffer is where its bytes are to be written, before
 * the next call or the closing of the pack. NULL with RESOURCE_EXHAUSTED.
 */
const struct pack_entry *
pack_add(struct pack *pack, const struct constant *constant, const char *key,
	 const void *descriptor, size_t descriptor_bytes, size_t bytes, void **buffer);

/* Cut what was added into groups of about group_bytes; nothing is added after that. RESOURCE_EXHAUSTED. */
int
pack_cut(struct pack *pack);

/* Where bytes that lie at `place` in the whole image are after the cut. */
void
pack_find_group(const struct pack *pack, uint64_t place, uint32_t *group, uint64_t *offset);

/* Cut the memory to the image's size and hand it over, with its mapping's size; the pack is closed. NULL: it is empty. */
unsigned char *
pack_close(struct pack *pack, size_t *mapping_bytes);

/* Bytes from the start of the image to the end of the last group. */
uint64_t
pack_bytes(const struct pack *pack);
