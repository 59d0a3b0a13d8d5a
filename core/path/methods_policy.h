/* The policy's life outside its methods: at start, and when its file changes. Main loop. */
#pragma once

#include <stdbool.h>

struct engine;

/* Whether the configuration names a policy that comes with the node, and not a file. */
bool
policy_is_builtin(const char *name);

/* Put the built-in policy of that name in force, or that of the file, which is called as it is without folder and ending. */
int
policy_load_file(struct engine *engine, const char *path);

/* A watch's callback: load the file again, or say why the old one stays. context is the node. */
void
policy_file_changed(void *context, const char *path);

/* Put the policy that the state folder keeps in force, if there is one. */
void
policy_restore(struct engine *engine);
