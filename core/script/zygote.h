/*
 * The zygote: the small process that workers are forked from. It holds a Lua state with the worker library loaded, never maps
 * model memory, and obeys the core through a socket. This is the core's side, and what the two say to each other.
 *
 * Between the core and the zygote stands the keeper: forked before the core has threads or models, it does nothing but fork
 * a zygote when it is told to, so that one that has died can be replaced. A keeper that has died is replaced by the program
 * started anew as one.
 *
 * Started once a process, before threads; afterwards used from the main loop's thread. Nothing here blocks but
 * zygote_start.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Fork keeper and zygote and wait for the zygote's word that it is ready. -1 with the error set, its own when it has one. */
int
zygote_start(void);
/* The program's only argument when it is to be a keeper, on the socket that is its standard input. */
#define ZYGOTE_KEEPER_ARGUMENT "--keeper"

/*
 * The zygote has gone: have the keeper, or another one when that has gone too, fork one, which takes orders at once and says
 * later whether it is ready. Its socket has the old one's number (zygote_fd), which must not be polled meanwhile. -1 with
 * UNAVAILABLE: no keeper can be had.
 */
int
zygote_restart(void);
/* Ends both, and with them all workers. */
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
	/* The enum rank that it begins with. */
	uint32_t rank;
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

/* From now on that worker has that enum rank. */
int
zygote_rank(uint32_t id, uint32_t rank);

/* Workers that are not prompt, and the zygote, leave one processor to others (rank_part), or (false) no longer. */
int
zygote_part(bool apart);

enum zygote_event {
	/* A worker was forked; pid is its number here, 0 where it cannot be known. */
	ZYGOTE_FORKED = 1,
	/* It has ended; status as waitpid gives it, -1: it could not be forked. */
	ZYGOTE_ENDED = 2,
};

struct zygote_report {
	uint32_t id;
	uint32_t event;
	int32_t status;
	int32_t pid;
	/* What an ended worker used of the processor, ns. */
	uint64_t cpu_ns;
};

/* The next report: 1, 0 when there is none now, -1 with UNAVAILABLE when the zygote has gone. */
int
zygote_receive(struct zygote_report *report) __attribute__((warn_unused_result));

/* --- between the two sides ------------------------------------------------------------------------------------------ */

enum zygote_verb {
	ZYGOTE_SPAWN = 1,
	ZYGOTE_KILL = 2,
	ZYGOTE_RANK = 3,
	ZYGOTE_PART = 4,
};

enum { ZYGOTE_FDS = 3, ZYGOTE_TEXT_BYTES = 256 };

struct zygote_command {
	uint32_t verb;
	uint32_t id;
	/* ZYGOTE_RANK: an enum rank; ZYGOTE_PART: a bool. */
	uint32_t value;
	struct zygote_spawn spawn;
};

/* The first thing the zygote says; longer than a report. */
struct zygote_hello {
	/* 0: ready, text is its isolation; -1: text is why not. */
	int32_t status;
	char text[ZYGOTE_TEXT_BYTES];
};

/* One message with up to ZYGOTE_FDS files, which stay the sender's. -1 with errno set. */
int
zygote_send_message(int socket, const void *message, size_t bytes, const int *fds, size_t fd_count);
/* Up to `bytes` of one message, without waiting; files that came with it go to fds, -1 where none did. As recvmsg. */
ssize_t
zygote_receive_message(int socket, void *message, size_t bytes, int *fds);

/* The keeper's process, on its end of the socket; does not return. */
_Noreturn void
zygote_keep(int socket);

/* The zygote's process, on its end of the socket; does not return. isolation: namespaces that it is in. */
_Noreturn void
zygote_main(int socket, const char *isolation);
