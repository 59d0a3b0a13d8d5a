/*
 * A worker that was taken over. The program hostile-node is the node with this file linked in: a script whose source starts
 * with "--hostile NAME" is not loaded in its worker; in its place the attack NAME below runs, in C, confined as any worker.
 * No product code knows of it: child_main and child_lua_start are wrapped by the linker.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "script/child.h"
#include "script/record.h"
#include "script/zygote.h"

enum { WAKE_CORE = 11, NAME_BYTES = 64 };

_Noreturn void
__real_child_main(const struct zygote_spawn *spawn, const int *fds);
_Noreturn void
__wrap_child_main(const struct zygote_spawn *spawn, const int *fds);
void
__real_child_lua_start(const void *block, size_t bytes);
void
__wrap_child_lua_start(const void *block, size_t bytes);

/* What it knows of its surroundings. */
static struct {
	struct record_layout layout;
	unsigned char *shared;
	struct record_controls *controls;
	struct ring_writer out;
	struct ring_reader in;
	/* The request under way. */
	uint32_t request;
} self;

/* --- speaking ------------------------------------------------------------------------------------------------------- */

static void
wake(void)
{
	static const uint64_t one = 1;
	if (write(WAKE_CORE, &one, sizeof(one)) < 0)
		_exit(1);
}

static void
publish(void)
{
	ring_publish(&self.out);
	wake();
}

static void *
put(uint16_t kind, uint32_t request, size_t bytes)
{
	void *record = ring_reserve(&self.out, kind, request, bytes);
	if (record == NULL)
		_exit(2);
	memset((unsigned char *)record + sizeof(struct ring_record), 0,
	       bytes - sizeof(struct ring_record));
	return record;
}

static void
say(uint16_t kind, uint32_t request, uint64_t offset, uint64_t bytes, const void *data,
    size_t data_bytes)
{
	struct record_text *text = put(kind, request, sizeof(*text) + data_bytes);
	text->payload = (struct record_payload){ offset, bytes };
	memcpy(text + 1, data, data_bytes);
	publish();
}

static void
reply_nil(void)
{
	say(RECORD_REPLY, self.request, RECORD_HERE, 1, "\xc0", 1);
}

/* A call of that kind, with the counts and handles of a hostile mind. */
static struct record_call *
put_call(uint8_t kind, uint8_t inputs, uint8_t outputs, uint32_t handle)
{
	struct record_call *call = put(RECORD_CALL, self.request, sizeof(*call) + 512);
	call->kind = kind;
	call->input_count = inputs;
	call->output_count = outputs;
	call->handle = handle;
	return call;
}

static _Noreturn void
spin(void)
{
	for (;;)
		sched_yield();
}

/* --- the kernel ----------------------------------------------------------------------------------------------------- */

static void
fork_bomb(void)
{
	for (;;)
		fork();
}

static void
start_thread(void)
{
	static char stack[65536];
	syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, stack + sizeof(stack), 0, 0, 0);
}

static void
run_program(void)
{
	execl("/bin/sh", "sh", "-c", "touch /tmp/owned", (char *)NULL);
}

static void
run_program_in_memory(void)
{
	syscall(SYS_memfd_create, "x", 0);
}

static void
trace_parent(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void
write_to_parent(void)
{
	char byte = 0;
	struct iovec local = { &byte, 1 }, remote = { (void *)&self, 1 };
	syscall(SYS_process_vm_writev, 1, &local, 1, &remote, 1, 0);
}

static void
kill_parent(void)
{
	syscall(SYS_kill, 1, SIGKILL);
}

static void
kill_all(void)
{
	syscall(SYS_kill, -1, SIGKILL);
}

static void
open_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void
open_file(void)
{
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
}

static void
open_relative(void)
{
	syscall(SYS_openat, AT_FDCWD, "..", O_RDONLY | O_DIRECTORY);
}

static void
mount_something(void)
{
	mount("none", "/", "tmpfs", 0, NULL);
}

static void
leave_namespaces(void)
{
	syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS);
}

static void
become_root(void)
{
	syscall(SYS_setresuid, 0, 0, 0);
}

static void
make_io_uring(void)
{
	struct io_uring_params params = { 0 };
	syscall(SYS_io_uring_setup, 8, &params);
}

static void
load_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void
undo_confinement(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void
use_32_bit_calls(void)
{
	/* getpid's number in the old table, where it would be allowed if numbers alone were looked at. */
	__asm__ volatile("int $0x80" : : "a"(20) : "memory");
}

static void
crash(void)
{
	__builtin_trap();
}

static void
leave(void)
{
	_exit(0);
}

/* Memory beyond the limit is not there, however it is asked for. */
static void
take_memory(void)
{
	for (;;) {
		char *more = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (more == MAP_FAILED)
			_exit(3);
		memset(more, 1, 64 << 20);
	}
}

/* --- the ring ------------------------------------------------------------------------------------------------------- */

static void
publish_far(void)
{
	atomic_store(&self.controls->to_core.produced, 0x7fffff00);
	wake();
}

static void
publish_odd(void)
{
	atomic_store(&self.controls->to_core.produced, self.out.written + 7);
	wake();
}

static void
forge_header(uint32_t bytes, uint32_t sequence)
{
	struct ring_record *record = put(RECORD_LOG, 0, 64);
	record->bytes = bytes;
	record->sequence = sequence;
	publish();
}

static void
record_of_nothing(void)
{
	forge_header(0, self.out.sequence - 1);
}

static void
record_without_end(void)
{
	forge_header(0xfffffff0, self.out.sequence - 1);
}

static void
record_out_of_order(void)
{
	forge_header(64, 4711);
}

static void
record_of_no_kind(void)
{
	put(77, self.request, 64);
	publish();
}

static void
someone_elses_request(void)
{
	say(RECORD_REPLY, self.request + RECORD_PLACES, RECORD_HERE, 1, "\xc0", 1);
}

static void
reply_twice(void)
{
	reply_nil();
	reply_nil();
}

static void
ready_twice(void)
{
	put(RECORD_READY, 0, sizeof(struct ring_record));
	publish();
}

static void
payload_outside(void)
{
	say(RECORD_REPLY, self.request, UINT64_C(1) << 40, 16, "", 0);
}

static void
payload_wraps(void)
{
	say(RECORD_REPLY, self.request, 4096, UINT64_MAX - 4000, "", 0);
}

static void
payload_beyond_record(void)
{
	say(RECORD_REPLY, self.request, RECORD_HERE, 1 << 20, "\xc0", 1);
}

static void
reply_of_garbage(void)
{
	say(RECORD_REPLY, self.request, RECORD_HERE, 5, "\xdd\xff\xff\xff\xff", 5);
}

static void
reply_too_deep(void)
{
	unsigned char nested[4000];
	memset(nested, 0x91, sizeof(nested));
	say(RECORD_REPLY, self.request, RECORD_HERE, sizeof(nested), nested, sizeof(nested));
}

static void
batch_of_nothing(void)
{
	put(RECORD_BATCH, self.request, sizeof(struct ring_record));
	publish();
}

static void
wrong_handle(void)
{
	put_call(CALL_GET, 0, 0, 12345);
	publish();
}

static void
wrong_counts(void)
{
	put_call(CALL_OPERATION, 255, 255, 0);
	publish();
}

static void
wrong_model(void)
{
	struct record_call *call = put_call(CALL_MODEL, 0, 1, 999);
	((uint32_t *)(call + 1))[0] = 1;
	publish();
}

static void
tensor_outside(void)
{
	struct record_call *call = put_call(CALL_TENSOR, 0, 0, 1);
	struct call_tensor type = { .data_type = 1, .rank = 1, .dims = { 1024 } };
	struct record_payload payload = { UINT64_C(1) << 41, 4096 };
	memcpy(call + 1, &type, sizeof(type));
	memcpy((unsigned char *)(call + 1) + sizeof(type), &payload, sizeof(payload));
	publish();
}

static void
tensor_that_overflows(void)
{
	struct record_call *call = put_call(CALL_TENSOR, 0, 0, 1);
	struct call_tensor type = { .data_type = 1, .rank = 3 };
	for (int i = 0; i < 3; i++)
		type.dims[i] = INT64_C(1) << 42;
	memcpy(call + 1, &type, sizeof(type));
	publish();
}

static void
free_the_script(void)
{
	struct record_release *release = put(RECORD_RELEASE, 0, sizeof(*release));
	release->offset = 0;
	publish();
}

static void
free_what_is_not(void)
{
	struct record_release *release = put(RECORD_RELEASE, 0, sizeof(*release));
	release->offset = 4096 * 100;
	publish();
}

static void
call_out_of_order(void)
{
	struct record_text *ask = put(RECORD_ASK, self.request, sizeof(*ask) + 16);
	ask->code = 7;
	ask->payload = (struct record_payload){ RECORD_HERE, 4 };
	memcpy(ask + 1,
	       "\x93\xa1"
	       "f\xc0\xc0",
	       5);
	ask->payload.bytes = 5;
	publish();
}

/* Parts without waiting for credit. */
static void
stream_flood(void)
{
	static unsigned char part[4000] = { 0xc5, 3997 >> 8, 3997 & 0xff };
	for (;;) {
		struct record_text *text =
			ring_reserve(&self.out, RECORD_PART, self.request, sizeof(*text) + 4000);
		if (text == NULL) {
			publish();
			sched_yield();
			continue;
		}
		text->payload = (struct record_payload){ RECORD_HERE, sizeof(part) };
		memcpy(text + 1, part, sizeof(part));
		publish();
	}
}

static void
wake_flood(void)
{
	for (;;)
		wake();
}

static void
log_flood(void)
{
	for (;;) {
		struct record_text *text =
			ring_reserve(&self.out, RECORD_LOG, self.request, sizeof(*text) + 64);
		if (text == NULL) {
			publish();
			sched_yield();
			continue;
		}
		text->payload = (struct record_payload){ RECORD_HERE, 64 };
		memset(text + 1, 'x', 64);
	}
}

/* Every shared word is scribbled over, for ever. */
static void
scribble(void)
{
	uint32_t word = 1;
	for (;;) {
		uint32_t *words = (uint32_t *)self.shared;
		word = word * 1664525 + 1013904223;
		words[word % (self.layout.worker_heap / sizeof(uint32_t))] = word;
		if (word % 4096 == 0)
			wake();
	}
}

/* Nothing is ever read, and all places are said to be free. */
static void
deaf(void)
{
	for (;;) {
		for (uint32_t i = 0; i < RECORD_PLACES; i++)
			atomic_store(&self.controls->claims[i], 0);
		sched_yield();
	}
}

/* --- choosing ------------------------------------------------------------------------------------------------------- */

static const struct attack {
	const char *name;
	void (*run)(void);
} attacks[] = {
#define ATTACK(name)                                                                               \
	{                                                                                          \
#name, name                                                                        \
	}
	ATTACK(fork_bomb),
	ATTACK(start_thread),
	ATTACK(run_program),
	ATTACK(run_program_in_memory),
	ATTACK(trace_parent),
	ATTACK(write_to_parent),
	ATTACK(kill_parent),
	ATTACK(kill_all),
	ATTACK(open_socket),
	ATTACK(open_file),
	ATTACK(open_relative),
	ATTACK(mount_something),
	ATTACK(leave_namespaces),
	ATTACK(become_root),
	ATTACK(make_io_uring),
	ATTACK(load_bpf),
	ATTACK(undo_confinement),
	ATTACK(use_32_bit_calls),
	ATTACK(crash),
	ATTACK(leave),
	ATTACK(take_memory),
	ATTACK(publish_far),
	ATTACK(publish_odd),
	ATTACK(record_of_nothing),
	ATTACK(record_without_end),
	ATTACK(record_out_of_order),
	ATTACK(record_of_no_kind),
	ATTACK(someone_elses_request),
	ATTACK(reply_twice),
	ATTACK(ready_twice),
	ATTACK(payload_outside),
	ATTACK(payload_wraps),
	ATTACK(payload_beyond_record),
	ATTACK(reply_of_garbage),
	ATTACK(reply_too_deep),
	ATTACK(batch_of_nothing),
	ATTACK(wrong_handle),
	ATTACK(wrong_counts),
	ATTACK(wrong_model),
	ATTACK(tensor_outside),
	ATTACK(tensor_that_overflows),
	ATTACK(free_the_script),
	ATTACK(free_what_is_not),
	ATTACK(call_out_of_order),
	ATTACK(stream_flood),
	ATTACK(wake_flood),
	ATTACK(log_flood),
	ATTACK(scribble),
	ATTACK(deaf),
};

static const struct attack *
find_attack(const void *block, size_t bytes)
{
	static const char mark[] = "--hostile ";
	const char *found = memmem(block, bytes, mark, sizeof(mark) - 1);
	for (size_t i = 0; found != NULL && i < sizeof(attacks) / sizeof(*attacks); i++) {
		size_t length = strlen(attacks[i].name);
		if (strncmp(found + sizeof(mark) - 1, attacks[i].name, length) == 0 &&
		    found[sizeof(mark) - 1 + length] == '\n')
			return &attacks[i];
	}
	return NULL;
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
	put(RECORD_READY, 0, sizeof(struct ring_record));
	publish();
	while (ring_read(&self.in, record) <= 0)
		sched_yield();
	ring_release(&self.in);
	self.request = ((struct ring_record *)record)->request;
	record_claim(self.controls, self.request);
	/* It has begun: a worker that ends before that is no news. */
	say(RECORD_LOG, self.request, RECORD_HERE, 6, "begins", 6);
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
	spin();
}
