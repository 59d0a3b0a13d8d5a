/*
 * The host image: a model's parameters packed for one kind of device, in order of first use, cut into groups; swapping is
 * a plain copy of groups. Made once by model_open, then a file in the state directory that is mapped. Immutable but for where
 * it lies.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A contiguous run of the image that is copied as one transfer and held by one extent. */
struct image_group {
	/* From the start of the parameters; a multiple of 64. */
	uint64_t offset;
	uint64_t bytes;
};

struct image {
	/* The parameters, mapped or in host memory; 64-byte aligned. NULL while the image is only on disk. */
	const unsigned char *data;
	uint64_t bytes;
	uint32_t group_count;
	const struct image_group *groups;
	/* The file behind it, and where in it the parameters begin, a multiple of the page. NULL: none, or none yet. */
	const char *path;
	uint64_t file_offset;
	/* What lies in host memory instead, in fewer bits; NULL: this itself. */
	const struct narrow_image *narrow;
};

struct narrow_image;
struct pack;

/* What an image was made from; all of it must match for a file to be used. */
struct image_key {
	/* Hash of the model's file, in hex. */
	char hash[40];
	/* enum device_kind. */
	uint32_t kind;
	/* Instruction set and library that the packed forms are for. */
	uint64_t platform;
	uint64_t group_bytes;
};

/* The image of what was packed, in the memory that it was packed in; closes pack. NULL with RESOURCE_EXHAUSTED. */
struct image *
image_build(struct pack *pack);

/*
 * Write an image that was built to path (temporary file, fsync, rename), and put the file's pages
 * in the place of its memory: who reads meanwhile sees the same bytes. pack: that it was built of.
 * -1: what cannot be written, and it stays where it is. Any thread, while nobody page-locks the
 * image; blocks.
 */
int
image_keep(struct image *image, const struct pack *pack, const struct image_key *key,
	   const char *path);

/*
 * Map the image at path; fills in and closes pack, which must be empty. NULL: NOT_FOUND, or DATA_LOSS when the file is for
 * another key, cut short or damaged: build it again.
 */
struct image *
image_open(struct pack *pack, const struct image_key *key, const char *path);

/*
 * An image of that size without anything in it: address space that nobody may touch, for simulated devices. Groups are of
 * group_bytes, but for the last. INVALID_ARGUMENT for 0 bytes.
 */
struct image *
image_hollow(uint64_t bytes, uint64_t group_bytes);

/*
 * Bring a group that lies on disk into memory, and have the kernel read on, up to group `end`, meanwhile. DATA_LOSS when the
 * file cannot be read there; 0 for an image in anonymous memory. Any thread; may block.
 */
int
image_fetch(const struct image *image, uint32_t group, uint32_t end);

/*
 * Replace the file's mapping by a copy of it in memory of the process at the same addresses, for
 * devices that cannot page-lock a file's: who reads meanwhile sees the same bytes.
 * RESOURCE_EXHAUSTED. image_put_back maps the file again; 0, or -1 and the copy stays. Any thread,
 * one at a time; both may block.
 */
int
image_copy_out(const struct image *image);
int
image_put_back(const struct image *image);

/* The image lies in that file now, from the offset on: map it there in the place of its memory. path is kept. 0 or -1. */
int
image_move_to(struct image *image, const char *path, uint64_t offset);

/* What lies in host memory and crosses the link: the narrow image where there is one. Its groups are the image's. */
const struct image *
image_on_host(const struct image *image);

/* Bytes of groups first … end-1. */
uint64_t
image_bytes_of(const struct image *image, uint32_t first, uint32_t end);

/* NULL: nothing. */
void
image_delete(struct image *image);
