#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/driver.h"

/* What a module exports: an opener as in the table of kinds. */
static const char opener_name[] = "tidepool_module_open";

/* The folder of the executable with a slash at its end. */
static int
own_folder(char *path, size_t room)
{
	ssize_t length = readlink("/proc/self/exe", path, room - 1);
	if (length < 0)
		return error_set_errno("cannot read /proc/self/exe");
	path[length] = 0;
	char *slash = strrchr(path, '/');
	path[slash == NULL ? 0 : slash + 1 - path] = 0;
	return 0;
}

/* Beside the executable, else where the loader looks. Never unloaded: the CUDA runtime does not allow it. */
static void *
load_module(const char *kind)
{
	char folder[PATH_MAX];
	char name[DEVICE_NAME_BYTES];
	char path[PATH_MAX + DEVICE_NAME_BYTES];
	if (own_folder(folder, sizeof(folder)) != 0)
		return NULL;
	snprintf(name, sizeof(name), "tidepool-%s.so", kind);
	snprintf(path, sizeof(path), "%s%s", folder, name);
	void *module = dlopen(access(path, F_OK) == 0 ? path : name, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL)
		error_set(ERR_UNAVAILABLE, "device kind %s: %s", kind, dlerror());
	return module;
}

void *
module_symbol(const char *kind, const char *name)
{
	void *module = load_module(kind);
	if (module == NULL)
		return NULL;
	void *symbol = dlsym(module, name);
	if (symbol == NULL)
		error_set(ERR_UNAVAILABLE, "device kind %s: its module has no %s", kind, name);
	return symbol;
}

struct device *
module_open(const char *kind, const struct device_options *options)
{
	struct device *(*open)(const struct device_options *options) = NULL;
	*(void **)&open = module_symbol(kind, opener_name);
	return open != NULL ? open(options) : NULL;
}
