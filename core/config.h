/*
 * The node's configuration: a Lua file that returns a table, evaluated in an empty environment and checked whole, key by
 * key, before anything starts. config_default alone is a working configuration. Read once at start, by the main thread;
 * constant from then on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/log.h"
#include "device/device.h"
#include "exec/narrow.h"
#include "net/server.h"
#include "script/limits.h"

enum {
	CONFIG_LISTEN_MAX = 16,
	/* How soon a lost device is opened again, unless a file says. */
	CONFIG_REOPEN_MS = 1000,
	/* Most devices that a file can list; a simulated node takes its devices from elsewhere. */
	CONFIG_DEVICES_MAX = 64,
	/* A configuration that runs more Lua instructions than this is taken for one that does not end. */
	CONFIG_INSTRUCTIONS_MAX = 10 * 1000 * 1000,
};

/* One device to open. */
struct config_device {
	enum device_kind kind;
	struct device_options options;
	/* How long after it was lost it is opened again, at first; 0: never. */
	uint32_t reopen_ms;
	/* Stands behind device/fault.h's decorator, so that device.fault can make it fail. */
	bool faults;
};

/* What workers may use, and how they are kept. */
struct config_worker {
	/* Limits of functions that do not set their own, and the most that functions may set. */
	struct limits limits;
	struct limits most;
	/* Workers of all functions at once. */
	uint32_t processes;
	/* A worker without a request for this long ends, ms. */
	uint64_t idle_ms;
	/* Put Lua tracebacks into errors that clients see. */
	bool tracebacks;
};

struct config {
	/* Owns every string and array below. */
	struct arena memory;
	/* "127.0.0.1:7420", "[::1]:7420", or a path for a Unix socket. */
	uint32_t listen_count;
	const char *listen[CONFIG_LISTEN_MAX];
	/* Folder of deployed functions, models and packed images; made when it is missing. */
	const char *state;
	/* What clients must present; NULL: nothing, and then every address is a loopback address or a Unix socket. */
	const char *token;
	enum log_level log_level;
	struct server_limits limits;
	/* At least one. */
	uint32_t device_count;
	struct config_device devices[CONFIG_DEVICES_MAX];
	/* Budget of packed models in host memory, bytes. */
	uint64_t store_bytes;
	/* Budget of packed models in the state folder, bytes. */
	uint64_t cache_bytes;
	/* What models' parameters are in host memory and on the link. */
	enum narrow_form parameters;
	/* Size at which a model's image is cut into groups, bytes; 0: from where the link's rate hardly rises. */
	uint64_t group_bytes;
	/* Policy file in force from the start; NULL: the one of last time, else the built-in fifo. */
	const char *policy;
	/* Text of the Lua table for the policy's new(node, config); NULL: {}. */
	const char *policy_config;
	/* Folder whose functions are deployed at the start and whenever their files are saved; NULL: none. */
	const char *functions;
	/* Versions of each function that are kept to go back to. */
	uint32_t generations;
	/* Reload the policy when its file changes. */
	bool watch;
	/* Compile what handlers call between two waits to one program when it comes again (path/fusion.h). */
	bool fuse;
	struct config_worker worker;
};

/* The defaults: 127.0.0.1:7420, the user's state folder, one host device with all cores. Ends in config_destroy. */
void
config_default(struct config *config);

/*
 * The defaults, then the file's table over them. Nothing but the file is read. INVALID_ARGUMENT with "FILE:LINE: …" for Lua
 * errors, "FILE: devices[2].memory: …" for values; NOT_FOUND. *config needs no config_destroy after a failure.
 */
int
config_load(const char *path, struct config *config) __attribute__((warn_unused_result));

/* As config_load from text; name stands for the file in errors. */
int
config_parse(const char *name, const char *text, size_t length, struct config *config)
	__attribute__((warn_unused_result));

/* Replace the listen addresses by one (a command-line option). Copies address. */
int
config_set_listen(struct config *config, const char *address) __attribute__((warn_unused_result));

/* Replace the state folder. Copies folder. */
int
config_set_state(struct config *config, const char *folder) __attribute__((warn_unused_result));

/* Watch that folder of functions. Copies folder. */
int
config_set_functions(struct config *config, const char *folder) __attribute__((warn_unused_result));

/* What must hold between values: addresses that parse, a token where one is not loopback, devices that hold a group. */
int
config_check(const struct config *config) __attribute__((warn_unused_result));

void
config_destroy(struct config *config);
