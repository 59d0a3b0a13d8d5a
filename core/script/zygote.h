/*
 * The zygote: the small process that workers are forked from. It holds a Lua state with the worker library loaded, never maps
 * model memory, and obeys the core through a socket. This is the core's side, and what the two say to each other.
 *
 * Started once a process, before threads; afterwards used from the main loop's thread. Nothing here blocks but
 * zygote_start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fork it and wait for its word that it is ready. -1 with the error set, its own when it has one. */
int
zygote_start(void);
/* Ends it, and with it all workers. */
void
zygote_stop(void);

/* What is in force between workers and the machine; see worker_isolation. */
const char *
zygote_isolation(void);

/* Becomes readable when a report has come; -1 when no zygote runs. */
int
zygote_fd(void);

struct zygote_spawn {
	/* Names the worker in reports; not in use by another. */
	uint32_t id;
	uint32_t reserved;
	/* Limit of the worker's own memory. */
	uint64_t memory_bytes;
	/* Bytes of each heap in the shared memory (record_layout), and where the start block lies in the core's. */
	uint64_t heap_bytes;
	uint64_t start_bytes;
};

/* Fork a worker onto the shared memory `memory`; it sleeps on `wake_worker` and wakes the core by `wake_core`. */
int
zygote_spawn(const struct zygote_spawn *spawn, int memory, int wake_worker, int wake_core);

/* Kill that worker; a report follows. */
int
zygote_kill(uint32_t id);

/* That worker has ended. */
struct zygote_exit {
	uint32_t id;
	/* As waitpid gives it; -1: it could not be forked. */
	int32_t status;
};

/* The next report: 1, 0 when there is none now, -1 with UNAVAILABLE when the zygote has gone. */
int
zygote_receive(struct zygote_exit *report) __attribute__((warn_unused_result));

/* --- between the two sides ------------------------------------------------------------------------------------------ */

enum zygote_verb {
	ZYGOTE_SPAWN = 1,
	ZYGOTE_KILL = 2,
};

enum { ZYGOTE_FDS = 3, ZYGOTE_TEXT_BYTES = 256 };

struct zygote_command {
	uint32_t verb;
	uint32_t id;
	struct zygote_spawn spawn;
};

/* The first thing the zygote says. */
struct zygote_hello {
	/* 0: ready, text is its isolation; -1: text is why not. */
	int32_t status;
	char text[ZYGOTE_TEXT_BYTES];
};

/* The zygote's process, on its end of the socket; does not return. isolation: namespaces that it is in. */
_Noreturn void
zygote_main(int socket, const char *isolation);
