/*
 * The framer: however bytes are cut it finds the same values, never looks beyond what is there, keeps to its limits; and
 * what it passes, the reader takes whole. The first byte of the input says how long the cuts are.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/framer.h"
#include "net/reader.h"

enum { BYTES_MAX = 4096, DEPTH_MAX = 12 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* The framer's answer when data comes `step` bytes at a time, each time in a block of exactly that size. */
static int
scan_cut(const uint8_t *data, size_t size, size_t step, size_t *found)
{
	struct framer framer;
	framer_create(&framer, BYTES_MAX, DEPTH_MAX);
	for (size_t have = 0; have < size;) {
		have = size - have < step ? size : have + step;
		unsigned char *copy = malloc(have);
		memcpy(copy, data, have);
		int status = framer_scan(&framer, copy, have, found);
		free(copy);
		if (status != 0 || *found > 0)
			return status;
		check(framer_needs(&framer) <= BYTES_MAX);
	}
	*found = 0;
	return 0;
}

static void
check_value(const uint8_t *data, size_t bytes)
{
	struct reader reader;
	struct slice value;
	check(bytes <= BYTES_MAX);
	reader_create(&reader, (struct slice){ data, bytes });
	check(reader_any(&reader, &value) == 0 && value.bytes == bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole, cut;
	if (size < 2)
		return 0;
	size_t step = 1 + data[0] % 32;
	data++;
	size--;
	while (size > 0) {
		error_clear();
		int status = scan_cut(data, size, size, &whole);
		check(status == (error_last()->code == ERR_OK ? 0 : -1));
		check(scan_cut(data, size, step, &cut) == status);
		if (status != 0)
			break;
		check(whole == cut && whole <= size);
		if (whole == 0)
			break;
		check_value(data, whole);
		data += whole;
		size -= whole;
	}
	return 0;
}
