/*
 * The worker's side: what runs in the processes that the zygote forks. child_prepare runs once in the zygote, so that all
 * workers share what it makes; child_main is a worker's whole life. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_State;
struct zygote_spawn;

/*
 * Sanitizers need room, files and system calls that a confined process does not have: under them workers run with their
 * Lua sandbox and the core's checks alone, and worker_isolation says so.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHILD_IS_CONFINED = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
enum { CHILD_IS_CONFINED = 0 };
#else
enum { CHILD_IS_CONFINED = 1 };
#endif
#else
enum { CHILD_IS_CONFINED = 1 };
#endif

/* How a worker ends itself. */
enum child_exit {
	CHILD_EXIT_SETUP = 3,
	CHILD_EXIT_RING = 4,
	CHILD_EXIT_LUA = 5,
	/* Memory ran out where no handler could be told. */
	CHILD_EXIT_MEMORY = 6,
};

/* In the zygote, while it still sees files: the Lua state with its library, the system-call filter. -1 with the error set. */
int
child_prepare(void);

/* Parts of the isolation that child_confine will put in force. */
const char *
child_isolation(void);

/* A worker's life; fds: shared memory, own wake, the core's wake. */
_Noreturn void
child_main(const struct zygote_spawn *spawn, const int *fds);

/* --- child_sandbox.c ------------------------------------------------------------------------------------------------ */

/* Make the filter that child_confine installs. */
int
child_sandbox_prepare(void);

/* Give up all that a handler needs not. memory_bytes: of address space beyond what the zygote has, shared memory included. */
int
child_confine(uint32_t id, uint64_t memory_bytes);

/* --- child_lua.c ---------------------------------------------------------------------------------------------------- */

int
child_lua_prepare(void);

/* In the zygote: live through what every worker does at first. */
void
child_lua_rehearse(void);

/* From now on Lua allocates from a mapping of that many bytes. */
int
child_lua_limit(size_t bytes);

/* Load the script of the start block, say RECORD_READY, RECORD_MANIFEST or RECORD_FAILED. */
void
child_lua_start(const void *block, size_t bytes);

/* Run a request until it waits or ends; flags of its record; the payload is decoded on return. */
void
child_lua_invoke(uint32_t request, uint64_t deadline, uint16_t flags, const void *payload,
		 size_t bytes);

/* Call `call` of the request came back: one MessagePack value, or (code) an error's text. It is decoded on return. */
void
child_lua_answer(uint32_t request, uint32_t call, uint32_t code, const void *payload, size_t bytes);

/* So many bytes of its parts were taken. */
void
child_lua_credit(uint32_t request, uint64_t bytes);

/* The batch of a request has come back with `count` tensors (struct child_tensor), before which garbage is to be collected or not; or failed with a
 * code and text. */
void
child_lua_result(uint32_t request, const void *tensors, uint32_t count, bool collect);
void
child_lua_error(uint32_t request, uint32_t code, const char *text, size_t bytes);

void
child_lua_cancel(uint32_t request);
