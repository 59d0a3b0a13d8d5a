/*
 * What the driver's management library (NVML) knows of a GPU's links: its PCIe link to the host, and NVLinks to other GPUs.
 * Loaded at run time where it is; without it nothing is known, and rates are 0.
 */
#pragma once

#include <stdint.h>

/* Nominal rate of the link to host memory of the GPU with that PCI bus id ("0000:3b:00.0"), bytes/s one way. Any thread. */
uint64_t
cuda_links_host_rate(const char *pci_id);

/* Nominal rate of the NVLinks from one GPU to another, or to a switch that joins all, bytes/s one way; 0: there are none. */
uint64_t
cuda_links_peer_rate(const char *pci_id, const char *peer_pci_id);
