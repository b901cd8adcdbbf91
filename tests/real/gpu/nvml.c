// A stand-in for NVIDIA's management library, libnvidia-ml.so.1, with two GPUs: one that tells everything but what it may draw, and
// one that has been lost. Names, types and codes are those of nvml.h. NVML_INIT is what initializing answers.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };

typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;
typedef struct device *Device;

static char first, second;

static int lost(Device device) { return device == (Device)&second; }

int nvmlInit_v2(void) {
    const char *code = getenv("NVML_INIT");
    return code ? atoi(code) : SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "580.159.04");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 2;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    *device = (Device)(index ? &second : &first);
    return SUCCESS;
}

int nvmlDeviceGetUUID(Device device, char *uuid, unsigned length) {
    if (lost(device)) return GPU_IS_LOST;
    snprintf(uuid, length, "GPU-stand-in");
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device device, Utilization *rates) {
    *rates = (Utilization){.gpu = 75, .memory = 10};
    return lost(device) ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(Device device, Memory *memory) {
    memory->total = 80ULL << 30, memory->reserved = 1ULL << 30, memory->used = 3ULL << 30, memory->free = 76ULL << 30;
    return lost(device) ? GPU_IS_LOST : SUCCESS;
}

// Another process, and the one that asks, twice: as on two parts of one GPU.
int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *processes) {
    if (lost(device)) return GPU_IS_LOST;
    if (*count < 3) {
        *count = 3;
        return INSUFFICIENT_SIZE;
    }
    unsigned own = (unsigned)getpid(), nobody = 0xFFFFFFFF;
    processes[0] = (Process){1, 1ULL << 30, nobody, nobody};
    processes[1] = (Process){own, 300, nobody, nobody};
    processes[2] = (Process){own, 12, nobody, nobody};
    *count = 3;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(Device device, int sensor, unsigned *celsius) {
    *celsius = 54;
    return lost(device) || sensor ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) {
    *milliwatts = 312500;
    return lost(device) ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned *milliwatts) {
    (void)device, (void)milliwatts;
    return NOT_SUPPORTED;
}

int nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *millijoules) {
    static unsigned long long reading = 123456;
    *millijoules = reading++;
    return lost(device) ? GPU_IS_LOST : SUCCESS;
}
