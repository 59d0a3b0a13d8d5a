#include "device/cuda_links.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "device/nvml.h"

/* Most NVLinks of a GPU. */
enum { NVLINKS = 18 };

/* What is used of the library; handle NULL: it is not there. */
static struct {
	void *handle;
	int (*init)(void);
	int (*device)(const char *pci_id, void **device);
	int (*generation)(void *device, unsigned *generation);
	int (*width)(void *device, unsigned *width);
	int (*link_state)(void *device, unsigned link, unsigned *active);
	int (*link_remote)(void *device, unsigned link, struct nvml_pci *remote);
	int (*link_remote_type)(void *device, unsigned link, int *type);
	int (*fields)(void *device, int count, struct nvml_field *fields);
} nvml;

static void
find(const char *name, void **function)
{
	if (nvml.handle == NULL)
		return;
	*function = dlsym(nvml.handle, name);
	if (*function != NULL)
		return;
	dlclose(nvml.handle);
	nvml.handle = NULL;
}

static void
load(void)
{
	nvml.handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	find("nvmlInit_v2", (void **)&nvml.init);
	find("nvmlDeviceGetHandleByPciBusId_v2", (void **)&nvml.device);
	find("nvmlDeviceGetMaxPcieLinkGeneration", (void **)&nvml.generation);
	find("nvmlDeviceGetMaxPcieLinkWidth", (void **)&nvml.width);
	find("nvmlDeviceGetNvLinkState", (void **)&nvml.link_state);
	find("nvmlDeviceGetNvLinkRemotePciInfo_v2", (void **)&nvml.link_remote);
	find("nvmlDeviceGetNvLinkRemoteDeviceType", (void **)&nvml.link_remote_type);
	find("nvmlDeviceGetFieldValues", (void **)&nvml.fields);
	if (nvml.handle != NULL && nvml.init() != NVML_SUCCESS)
		nvml.handle = NULL;
}

/* The library's name for that GPU; NULL when it is not known. */
static void *
device_of(const char *pci_id)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	void *device = NULL;
	pthread_once(&once, load);
	if (nvml.handle == NULL || nvml.device(pci_id, &device) != NVML_SUCCESS)
		return NULL;
	return device;
}

uint64_t
cuda_links_host_rate(const char *pci_id)
{
	/* Bytes/s of a lane, by generation: what is left after the line's coding (PCI Express Base Specification). */
	static const uint64_t lanes[] = { 0,          250000000,  500000000, 984600000,
					  1969000000, 3938000000, 7563000000 };
	void *device = device_of(pci_id);
	unsigned generation, width;
	if (device == NULL || nvml.generation(device, &generation) != NVML_SUCCESS ||
	    nvml.width(device, &width) != NVML_SUCCESS ||
	    generation >= sizeof(lanes) / sizeof(lanes[0]))
		return 0;
	return lanes[generation] * width;
}

/* Is that what CUDA names so? As numbers: both write the domain with four digits or more. */
static bool
is_at(const struct nvml_pci *pci, const char *pci_id)
{
	unsigned domain, bus, slot;
	return sscanf(pci_id, "%x:%x:%x", &domain, &bus, &slot) == 3 && pci->domain == domain &&
	       pci->bus == bus && pci->device == slot;
}

/* Does the link lead to that GPU, or to a switch, behind which every GPU is? */
static bool
leads_to(void *device, unsigned link, const char *peer_pci_id)
{
	struct nvml_pci remote;
	unsigned active = 0;
	int type = 0;
	if (nvml.link_state(device, link, &active) != NVML_SUCCESS || !active)
		return false;
	if (nvml.link_remote_type(device, link, &type) == NVML_SUCCESS &&
	    type == NVML_REMOTE_SWITCH)
		return true;
	return nvml.link_remote(device, link, &remote) == NVML_SUCCESS &&
	       is_at(&remote, peer_pci_id);
}

uint64_t
cuda_links_peer_rate(const char *pci_id, const char *peer_pci_id)
{
	void *device = device_of(pci_id);
	struct nvml_field speed = { .field = NVML_FIELD_NVLINK_SPEED };
	unsigned links = 0;
	if (device == NULL)
		return 0;
	for (unsigned i = 0; i < NVLINKS; i++)
		links += leads_to(device, i, peer_pci_id);
	if (links == 0 || nvml.fields(device, 1, &speed) != NVML_SUCCESS ||
	    speed.result != NVML_SUCCESS || speed.value_type != NVML_VALUE_UNSIGNED)
		return 0;
	return (uint64_t)speed.value.number * 1000000 * links;
}
