/*
 * What is used of the driver's management library (NVML), which is loaded at run time and whose header need not be there: its
 * binary interface, after NVIDIA's documentation of it.
 */
#pragma once

enum {
	/* nvmlReturn_t. */
	NVML_SUCCESS = 0,
	/* Field 90: the speed of one active NVLink, MB/s; its value is an unsigned int (nvmlValueType_t). */
	NVML_FIELD_NVLINK_SPEED = 90,
	NVML_VALUE_UNSIGNED = 1,
	/* nvmlIntNvLinkDeviceType_t: what is at a link's other end. */
	NVML_REMOTE_GPU = 0,
	NVML_REMOTE_SWITCH = 2,
};

/* nvmlPciInfo_t. */
struct nvml_pci {
	char legacy_id[16];
	unsigned domain;
	unsigned bus;
	unsigned device;
	unsigned device_id;
	unsigned subsystem_id;
	char id[32];
};

/* nvmlFieldValue_t. */
struct nvml_field {
	unsigned field;
	unsigned scope;
	long long timestamp;
	long long latency_us;
	int value_type;
	int result;
	union {
		double real;
		unsigned number;
		unsigned long long wide;
	} value;
};
