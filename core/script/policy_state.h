/*
 * One policy: its script and the Lua state that runs it, behind a guard. A call either ends well, or with an error that
 * says what the policy did; after that the state is only good for closing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "script/heap.h"

struct guard;
struct lua_State;
struct view_node;

/* A policy's text, kept to start it again. */
struct policy_script {
	/* What messages call it; source, its length; config or NULL. Owned. */
	char *name;
	char *source;
	size_t length;
	char *config;
};

/* Copies of all three. NULL with the error set: out of memory, or longer than POLICY_SOURCE_BYTES_MAX. */
struct policy_script *
policy_script_new(const char *name, const char *source, size_t length, const char *config);
void
policy_script_delete(struct policy_script *script);

/* What C calls in the state; policy_env.lua returns the functions in this order. */
enum policy_entry {
	POLICY_START,
	POLICY_RESTORE,
	/* (now, address of the node) */
	POLICY_BIND,
	/* (now, slot, address of the job) */
	POLICY_SUBMIT,
	/* (now): job, device, source, peer */
	POLICY_DISPATCH,
	/* (now, device id, bytes): list of model, keep, model, keep, …; count of pairs */
	POLICY_EVICT,
	/* (now, slot, address of the job, outcome) */
	POLICY_DONE,
	/* (now, slot, address of the job) */
	POLICY_REQUEUE,
	/* (now) */
	POLICY_TICK,
	/* (now, address of the job): take it, ms until a retry */
	POLICY_ADMIT,
	/* (now, device id): model */
	POLICY_PREFETCH,
	/* (now): text */
	POLICY_SNAPSHOT,
	POLICY_ENTRIES,
};

enum {
	POLICY_ARGUMENTS_MAX = 4,
	POLICY_NAME_BYTES = 64,
};

/* One call: which function, its arguments, and how many results to leave on the stack. */
struct policy_call {
	enum policy_entry entry;
	int argument_count;
	int result_count;
	double arguments[POLICY_ARGUMENTS_MAX];
};

struct policy_state {
	struct lua_State *L;
	struct heap heap;
	struct guard *guard;
	/* The script that it runs, not owned; folder for require, or NULL. */
	const struct policy_script *script;
	const char *folder;
	/* Name that the policy gives itself, and which optional callbacks it has. */
	char name[POLICY_NAME_BYTES];
	bool has_tick;
	bool has_admit;
	bool has_prefetch;
	bool has_snapshot;
	bool has_restore;
	/* The memory that LuaJIT keeps machine code in; 0: none known. */
	uintptr_t code;
	/* It was left in the middle of a call. */
	bool abandoned;
};

/* A new state that has run the script and made the policy's object. NULL with INVALID_ARGUMENT (file:line) and the like. */
struct policy_state *
policy_state_new(struct guard *guard, const struct policy_script *script, const char *folder,
		 const struct view_node *node);

/* Close, or when it was abandoned unmap, all that the state had. */
void
policy_state_delete(struct policy_state *state);

/*
 * Make a call. 0: its results are on the Lua stack, the first at policy_state_result(state, 0), until policy_state_drop.
 * -1 with the error set when it raised, ran out of memory or time, or crashed; nothing is to be dropped then.
 */
int
policy_state_call(struct policy_state *state, const struct policy_call *call);
int
policy_state_result(const struct policy_state *state, int index);
void
policy_state_drop(struct policy_state *state);

/* Give the object what snapshot() made, as text. */
int
policy_state_restore(struct policy_state *state, const char *text, size_t length);
