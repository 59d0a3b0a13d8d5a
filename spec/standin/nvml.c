/*
 * The driver's management library (NVML) for the machine's GPUs: each on a PCIe link of generation 5 with 16 lanes; the two
 * below a switch of the PCI tree are joined by NVLinks. The module asks the loader for it by dlopen, which within the module
 * is this one; everybody else's is libc's. What it is given is this module once more, whose exports are the library.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "device/nvml.h"
#include "standin.h"

enum {
	FIRST_BUS = 0x43,
	GPUS = 8,
	GENERATION = 5,
	WIDTH = 16,
	/* NVLinks between two GPUs, and the speed of each, MB/s. */
	NVLINKS = 4,
	NVLINK_SPEED = 26562,
	/* nvmlReturn_t. */
	NOT_SUPPORTED = 3,
	NOT_FOUND = 6,
	UNKNOWN = 999,
};

/* A device's handle is the address of its own element. */
static char gpus[GPUS];

/* At the start of a function of the library: returns from it when the call is to fail. */
#define NVML_BEGIN()                                                                               \
	static struct call call_here = { .name = __func__, .flags = CALL_ANYWAY | CALL_ANYWHERE }; \
	int call_status = call_begin_library(&call_here, UNKNOWN);                                 \
	if (call_status != 0)                                                                      \
	return call_status

void *
dlopen(const char *name, int flags)
{
	static void *(*next)(const char *name, int flags);
	Dl_info own;
	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "dlopen");
	if (name == NULL || strcmp(name, "libnvidia-ml.so.1") != 0)
		return next(name, flags);
	if (getenv("STANDIN_NO_NVML") != NULL || dladdr(gpus, &own) == 0)
		return NULL;
	/* A library of that name without its functions. */
	if (getenv("STANDIN_OLD_NVML") != NULL)
		return next("libm.so.6", flags);
	return next(own.dli_fname, flags);
}

int
nvmlInit_v2(void);
int
nvmlInit_v2(void)
{
	NVML_BEGIN();
	return NVML_SUCCESS;
}

int
nvmlDeviceGetHandleByPciBusId_v2(const char *pci_id, void **device);
int
nvmlDeviceGetHandleByPciBusId_v2(const char *pci_id, void **device)
{
	NVML_BEGIN();
	unsigned bus;
	char end;
	if (sscanf(pci_id, "0000:%2x:00.%c", &bus, &end) != 2 || bus < FIRST_BUS ||
	    bus >= FIRST_BUS + GPUS)
		return NOT_FOUND;
	*device = &gpus[bus - FIRST_BUS];
	return NVML_SUCCESS;
}

int
nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned *generation);
int
nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned *generation)
{
	NVML_BEGIN();
	*generation = GENERATION;
	return NVML_SUCCESS;
}

int
nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned *width);
int
nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned *width)
{
	NVML_BEGIN();
	*width = WIDTH;
	return NVML_SUCCESS;
}

int
nvmlDeviceGetNvLinkState(void *device, unsigned link, unsigned *active);
int
nvmlDeviceGetNvLinkState(void *device, unsigned link, unsigned *active)
{
	NVML_BEGIN();
	*active = link < NVLINKS;
	return NVML_SUCCESS;
}

int
nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct nvml_pci *remote);
int
nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct nvml_pci *remote)
{
	NVML_BEGIN();
	if (link >= NVLINKS)
		return NOT_SUPPORTED;
	unsigned other = (unsigned)((char *)device - gpus) ^ 1;
	*remote = (struct nvml_pci){ .bus = FIRST_BUS + other };
	/* A domain of 32 bits does not fit the older name, which then is cut off. */
	snprintf(remote->legacy_id, sizeof(remote->legacy_id), "00000000:%02X:0", remote->bus);
	snprintf(remote->id, sizeof(remote->id), "00000000:%02X:00.0", remote->bus);
	return NVML_SUCCESS;
}

int
nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, int *type);
int
nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, int *type)
{
	NVML_BEGIN();
	*type = getenv("STANDIN_NVSWITCH") != NULL ? NVML_REMOTE_SWITCH : NVML_REMOTE_GPU;
	return NVML_SUCCESS;
}

int
nvmlDeviceGetFieldValues(void *device, int count, struct nvml_field *fields);
int
nvmlDeviceGetFieldValues(void *device, int count, struct nvml_field *fields)
{
	NVML_BEGIN();
	for (int i = 0; i < count; i++) {
		bool known = fields[i].field == NVML_FIELD_NVLINK_SPEED;
		fields[i].result = known ? NVML_SUCCESS : NOT_SUPPORTED;
		fields[i].value_type = NVML_VALUE_UNSIGNED;
		fields[i].value.number = known ? NVLINK_SPEED : 0;
	}
	return NVML_SUCCESS;
}
