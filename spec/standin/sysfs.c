/*
 * The machine's PCI tree as /sys would show it: two GPUs below one switch, or with STANDIN_SYSFS, a path, all GPUs at that path
 * ("": there is no /sys). The module resolves the links of its GPUs by
 * realpath, which within the module is this one; everybody else's is libc's.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_BUS = 0x43,
	PATH_BYTES = 4096,
};

char *
realpath(const char *restrict path, char *restrict resolved)
{
	static char *(*next)(const char *path, char *resolved);
	unsigned bus;
	char end;
	if (sscanf(path, "/sys/bus/pci/devices/0000:%2x:00.%c", &bus, &end) == 2 &&
	    bus >= FIRST_BUS && resolved != NULL) {
		const char *told = getenv("STANDIN_SYSFS");
		if (told != NULL) {
			snprintf(resolved, PATH_BYTES, "%s", told);
			return *told != 0 ? resolved : NULL;
		}
		unsigned pair = (bus - FIRST_BUS) / 2;
		snprintf(resolved, PATH_BYTES,
			 "/sys/devices/pci0000:40/0000:40:%02x.0/0000:%02x:00.0/0000:%02x:%02x.0/"
			 "0000:%02x:00.0",
			 pair + 1, 0x80 + 2 * pair, 0x81 + 2 * pair, (bus - FIRST_BUS) % 2 * 4,
			 bus);
		return resolved;
	}
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "realpath");
	return next(path, resolved);
}
