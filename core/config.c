#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "net/address.h"
#include "script/worker.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* Bytes of this machine's memory. */
static uint64_t
machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_bytes = sysconf(_SC_PAGESIZE);
	return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : GIB;
}

/* $XDG_STATE_HOME/tidepool, else ~/.local/state/tidepool, else /var/lib/tidepool. */
static const char *
default_state(struct arena *memory)
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char folder[4096];
	if (state != NULL && state[0] == '/')
		snprintf(folder, sizeof(folder), "%s/tidepool", state);
	else if (home != NULL && home[0] == '/')
		snprintf(folder, sizeof(folder), "%s/.local/state/tidepool", home);
	else
		return "/var/lib/tidepool";
	const char *copy = arena_strndup(memory, folder, strlen(folder));
	return copy != NULL ? copy : "/var/lib/tidepool";
}

void
config_default(struct config *config)
{
	*config = (struct config){
		.listen_count = 1,
		.listen = { "127.0.0.1:7420" },
		.log_level = LOG_INFO,
		.limits = { .frame_bytes = 64 * MIB,
			    .depth = 64,
			    .connections = 4096,
			    .in_flight = 1024,
			    .unsent_bytes = 64 * MIB,
			    .idle_ms = 3600 * 1000 },
		.device_count = 1,
		.devices = { { .kind = DEVICE_KIND_HOST,
			       .reopen_ms = CONFIG_REOPEN_MS,
			       .options = { .memory_bytes = machine_memory() / 4,
					    .switch_id = DEVICE_NO_SWITCH } } },
		.store_bytes = machine_memory() / 2,
		.cache_bytes = 64 * GIB,
		.watch = true,
		.fuse = true,
		.generations = 5,
		.worker = { .processes = WORKER_PROCESSES_DEFAULT, .idle_ms = 60 * 1000 },
	};
	limits_standard(&config->worker.limits);
	limits_granted(&config->worker.most);
	arena_create(&config->memory, 0);
	config->state = default_state(&config->memory);
}

int
config_set_listen(struct config *config, const char *address)
{
	const char *copy = arena_strndup(&config->memory, address, strlen(address));
	if (copy == NULL)
		return -1;
	config->listen[0] = copy;
	config->listen_count = 1;
	return 0;
}

int
config_set_state(struct config *config, const char *folder)
{
	const char *copy = arena_strndup(&config->memory, folder, strlen(folder));
	if (copy == NULL)
		return -1;
	config->state = copy;
	return 0;
}

int
config_set_functions(struct config *config, const char *folder)
{
	config->functions = arena_strndup(&config->memory, folder, strlen(folder));
	return config->functions == NULL ? -1 : 0;
}

int
config_check(const struct config *config)
{
	for (uint32_t i = 0; i < config->listen_count; i++) {
		struct address address;
		if (address_parse(config->listen[i], &address) != 0)
			return error_wrap("listen");
		if (config->token == NULL && !address_is_loopback(&address))
			return error_set(ERR_INVALID_ARGUMENT,
					 "token: needed since \"%s\" is not a loopback address",
					 config->listen[i]);
	}
	for (uint32_t i = 0; i < config->device_count; i++) {
		uint64_t memory_bytes = config->devices[i].options.memory_bytes;
		if (memory_bytes != 0 && config->group_bytes > memory_bytes)
			return error_set(ERR_INVALID_ARGUMENT,
					 "devices[%u].memory: smaller than one group", i + 1);
	}
	return 0;
}

void
config_destroy(struct config *config)
{
	arena_destroy(&config->memory);
}
