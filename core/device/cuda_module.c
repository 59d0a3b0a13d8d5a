#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/driver.h"

/* The module that core/device/cuda.c is built as, and what it exports. */
static const char module_name[] = "tidepool-cuda.so";
static const char opener_name[] = "cuda_module_open";

/* DIRECTORY OF THE EXECUTABLE/tidepool-cuda.so. */
static int
module_path(char *path, size_t room)
{
	ssize_t length = readlink("/proc/self/exe", path, room - 1);
	if (length < 0)
		return error_set_errno("cannot read /proc/self/exe");
	path[length] = 0;
	char *slash = strrchr(path, '/');
	size_t folder = slash == NULL ? 0 : (size_t)(slash + 1 - path);
	if (folder + sizeof(module_name) > room)
		return error_set(ERR_UNAVAILABLE,
				 "device kind cuda: the executable's path is too long");
	memcpy(path + folder, module_name, sizeof(module_name));
	return 0;
}

/* Beside the executable, else where the loader looks. Never unloaded: the CUDA runtime does not allow it. */
static void *
load_module(void)
{
	char path[PATH_MAX];
	if (module_path(path, sizeof(path)) != 0)
		return NULL;
	void *module = dlopen(access(path, F_OK) == 0 ? path : module_name, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL)
		error_set(ERR_UNAVAILABLE, "device kind cuda: %s", dlerror());
	return module;
}

struct device *
cuda_open(const struct device_options *options)
{
	void *module = load_module();
	if (module == NULL)
		return NULL;
	struct device *(*open)(const struct device_options *options) = NULL;
	*(void **)&open = dlsym(module, opener_name);
	if (open == NULL) {
		error_set(ERR_UNAVAILABLE, "device kind cuda: %s has no %s", module_name,
			  opener_name);
		return NULL;
	}
	return open(options);
}
