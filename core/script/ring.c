#include "script/ring.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"

_Static_assert((RING_BYTES & (RING_BYTES - 1)) == 0, "positions are taken modulo RING_BYTES");
_Static_assert(sizeof(struct ring_record) == RING_UNIT, "padding of one unit holds a header");

void
ring_writer_create(struct ring_writer *writer, struct ring_control *control, void *data)
{
	*writer = (struct ring_writer){ .control = control, .data = data };
}

void
ring_reader_create(struct ring_reader *reader, struct ring_control *control, const void *data)
{
	*reader = (struct ring_reader){ .control = control, .data = data };
}

/* Bytes that may be written; the consumer's word is believed only as far as it makes sense. */
static uint32_t
room(const struct ring_writer *writer)
{
	uint32_t consumed = atomic_load_explicit(&writer->control->consumed, memory_order_acquire);
	uint32_t held = writer->written - consumed;
	return held <= RING_BYTES ? RING_BYTES - held : 0;
}

static uint32_t
round_up(size_t bytes)
{
	return (uint32_t)(bytes + RING_UNIT - 1) & ~(uint32_t)(RING_UNIT - 1);
}

/* Bytes from the writer's position to the end of the ring. */
static uint32_t
before_end(uint32_t position)
{
	return RING_BYTES - (position & (RING_BYTES - 1));
}

/* What a record of that many bytes takes, with the padding that it needs. */
static uint32_t
needed(const struct ring_writer *writer, uint32_t bytes)
{
	uint32_t left = before_end(writer->written);
	return bytes <= left ? bytes : left + bytes;
}

static struct ring_record *
put_header(struct ring_writer *writer, uint16_t kind, uint32_t request, uint32_t bytes)
{
	void *at = writer->data + (writer->written & (RING_BYTES - 1));
	struct ring_record *record = at;
	*record = (struct ring_record){
		.bytes = bytes, .kind = kind, .request = request, .sequence = writer->sequence++
	};
	writer->written += bytes;
	return record;
}

void *
ring_reserve(struct ring_writer *writer, uint16_t kind, uint32_t request, size_t bytes)
{
	assert(bytes >= sizeof(struct ring_record) && bytes <= RING_RECORD_MAX);
	uint32_t rounded = round_up(bytes);
	if (needed(writer, rounded) > room(writer))
		return NULL;
	if (rounded > before_end(writer->written))
		put_header(writer, 0, 0, before_end(writer->written));
	return put_header(writer, kind, request, rounded);
}

void
ring_publish(struct ring_writer *writer)
{
	if (writer->published == writer->written)
		return;
	writer->published = writer->written;
	atomic_store_explicit(&writer->control->produced, writer->written, memory_order_release);
}

bool
ring_must_wake(struct ring_writer *writer)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&writer->control->asleep, memory_order_relaxed) == 0)
		return false;
	return atomic_exchange_explicit(&writer->control->asleep, 0, memory_order_relaxed) != 0;
}

bool
ring_ask_room(struct ring_writer *writer, size_t bytes)
{
	atomic_store_explicit(&writer->control->cramped, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	return needed(writer, round_up(bytes)) <= room(writer);
}

bool
ring_has_record(struct ring_reader *reader)
{
	if (reader->limit == reader->read)
		reader->limit =
			atomic_load_explicit(&reader->control->produced, memory_order_acquire);
	return reader->limit != reader->read;
}

/* Copy the record at the reader's position; its header is copied once and what was checked is what stays. */
static int
copy_record(struct ring_reader *reader, void *record)
{
	const unsigned char *at = reader->data + (reader->read & (RING_BYTES - 1));
	struct ring_record header;
	memcpy(&header, at, sizeof(header));
	uint32_t available = reader->limit - reader->read;
	uint32_t longest = header.kind == 0 ? RING_BYTES : RING_RECORD_MAX;
	if (header.bytes < RING_UNIT || header.bytes % RING_UNIT != 0 || header.bytes > longest ||
	    header.bytes > available || header.bytes > before_end(reader->read))
		return error_set(ERR_DATA_LOSS, "ring: record of %u bytes where %u are published",
				 header.bytes, available);
	if (header.sequence != reader->sequence)
		return error_set(ERR_DATA_LOSS, "ring: record %u where %u is due", header.sequence,
				 reader->sequence);
	memcpy(record, &header, sizeof(header));
	if (header.kind != 0)
		memcpy((unsigned char *)record + sizeof(header), at + sizeof(header),
		       header.bytes - sizeof(header));
	reader->read += header.bytes;
	reader->sequence++;
	return 0;
}

int
ring_read(struct ring_reader *reader, void *record)
{
	while (ring_has_record(reader)) {
		uint32_t available = reader->limit - reader->read;
		if (available > RING_BYTES || available % RING_UNIT != 0)
			return error_set(ERR_DATA_LOSS, "ring: position %u where at most %u is due",
					 reader->limit, reader->read + RING_BYTES);
		if (copy_record(reader, record) != 0)
			return -1;
		if (((struct ring_record *)record)->kind != 0)
			return 1;
	}
	return 0;
}

bool
ring_release(struct ring_reader *reader)
{
	atomic_store_explicit(&reader->control->consumed, reader->read, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&reader->control->cramped, memory_order_relaxed) == 0)
		return false;
	return atomic_exchange_explicit(&reader->control->cramped, 0, memory_order_relaxed) != 0;
}

bool
ring_ask_wake(struct ring_reader *reader)
{
	atomic_store_explicit(&reader->control->asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	return ring_has_record(reader);
}

void
ring_stay_awake(struct ring_reader *reader)
{
	atomic_store_explicit(&reader->control->asleep, 0, memory_order_relaxed);
}
