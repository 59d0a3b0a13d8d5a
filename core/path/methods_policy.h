/* The policy's life outside its methods: at start, and when its file changes. Main loop. */
#pragma once

struct engine;

/* Put the policy of that file in force; its name is the file's without folder and ending. */
int
policy_load_file(struct engine *engine, const char *path);

/* A watch's callback: load the file again, or say why the old one stays. context is the node. */
void
policy_file_changed(void *context, const char *path);

/* Put the policy that the state folder keeps in force, if there is one. */
void
policy_restore(struct engine *engine);
