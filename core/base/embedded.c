#include "base/embedded.h"

#include <string.h>

/* Made by cmake/embed.cmake; ends with an entry without a name. */
extern const struct embedded embedded_files[];

const struct embedded *
embedded_find(const char *name)
{
	for (const struct embedded *file = embedded_files; file->name != NULL; file++)
		if (strcmp(file->name, name) == 0)
			return file;
	return NULL;
}
