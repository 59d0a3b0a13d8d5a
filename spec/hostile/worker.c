/*
 * A worker that was taken over. The program hostile-node is the node with spec/hostile linked in: a
 * script whose source starts with "--hostile NAME" is not loaded in its worker; in its place the
 * attack NAME of attack_*.c runs, in C, confined as any worker. No product code knows of it:
 * child_main and child_lua_start are wrapped by the linker.
 */
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "script/child.h"
#include "script/zygote.h"
#include "spec/hostile/attack.h"

enum { WAKE_CORE = 11 };

_Noreturn void
__real_child_main(const struct zygote_spawn *spawn, const int *fds);
_Noreturn void
__wrap_child_main(const struct zygote_spawn *spawn, const int *fds);
void
__real_child_lua_start(const void *block, size_t bytes);
void
__wrap_child_lua_start(const void *block, size_t bytes);

struct self self;

/* --- speaking ------------------------------------------------------------------------------------------------------- */

void
attack_wake(void)
{
	static const uint64_t one = 1;
	if (write(WAKE_CORE, &one, sizeof(one)) < 0)
		_exit(1);
}

void
attack_publish(void)
{
	ring_publish(&self.out);
	attack_wake();
}

void *
attack_put(uint16_t kind, uint32_t request, size_t bytes)
{
	void *record = ring_reserve(&self.out, kind, request, bytes);
	if (record == NULL)
		_exit(2);
	memset((unsigned char *)record + sizeof(struct ring_record), 0,
	       bytes - sizeof(struct ring_record));
	return record;
}

void
attack_say(uint16_t kind, uint32_t request, uint64_t offset, uint64_t bytes, const void *data,
	   size_t data_bytes)
{
	struct record_text *text = attack_put(kind, request, sizeof(*text) + data_bytes);
	text->payload = (struct record_payload){ offset, bytes };
	memcpy(text + 1, data, data_bytes);
	attack_publish();
}

/* --- choosing ------------------------------------------------------------------------------------------------------- */

/* The attack of the table that the name, which a line's end follows, is of; NULL: none. */
static const struct attack *
find_in(const struct attack *attack, const char *name)
{
	for (; attack->name != NULL; attack++) {
		size_t length = strlen(attack->name);
		if (strncmp(name, attack->name, length) == 0 && name[length] == '\n')
			return attack;
	}
	return NULL;
}

static const struct attack *
find_attack(const void *block, size_t bytes)
{
	static const char mark[] = "--hostile ";
	const char *found = memmem(block, bytes, mark, sizeof(mark) - 1);
	if (found == NULL)
		return NULL;
	found += sizeof(mark) - 1;
	const struct attack *attack = find_in(attacks_on_kernel, found);
	return attack != NULL ? attack : find_in(attacks_on_ring, found);
}

/* A worker asked to declare itself behaves: only the real one is of interest. */
static bool
is_manifest(const void *block, size_t bytes)
{
	return memmem(block, bytes, "manifest\xc3", 9) != NULL;
}

static void
await_request(void)
{
	static _Alignas(16) unsigned char record[RING_RECORD_MAX];
	attack_put(RECORD_READY, 0, sizeof(struct ring_record));
	attack_publish();
	/* The node may have taken it back; then another worker does what is to be done, once. */
	do {
		while (ring_read(&self.in, record) <= 0)
			sched_yield();
		ring_release(&self.in);
		self.request = ((struct ring_record *)record)->request;
	} while (!record_claim(self.controls, self.request));
	/* It has begun: a worker that ends before that is no news. */
	attack_say(RECORD_LOG, self.request, RECORD_HERE, 6, "begins", 6);
}

void
__wrap_child_main(const struct zygote_spawn *spawn, const int *fds)
{
	self.layout = record_layout(spawn->heap_bytes);
	__real_child_main(spawn, fds);
}

void
__wrap_child_lua_start(const void *block, size_t bytes)
{
	const struct attack *attack = find_attack(block, bytes);
	if (attack == NULL || is_manifest(block, bytes)) {
		__real_child_lua_start(block, bytes);
		return;
	}
	self.shared = (unsigned char *)(uintptr_t)block - self.layout.core_heap;
	self.controls = (struct record_controls *)self.shared;
	ring_writer_create(&self.out, &self.controls->to_core, self.shared + self.layout.to_core);
	ring_reader_create(&self.in, &self.controls->to_worker,
			   self.shared + self.layout.to_worker);
	await_request();
	attack->run();
	for (;;)
		sched_yield();
}
