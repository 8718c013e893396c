// What a backend's device is, and why it cannot be used where it cannot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fastcf {

struct DeviceInfo {
    std::string name;
    int compute_major = 0, compute_minor = 0;
    std::int64_t memory_bytes = 0;
    int multiprocessors = 0;
};

struct DeviceReport {
    bool available = false;
    std::string reason;  // of its absence; empty when it is available
    std::vector<DeviceInfo> devices;
    int driver_version = 0, runtime_version = 0;  // as CUDA counts them: 13000 for 13.0; 0: none
};

// Asks the device, which may be slow the first time. Never throws for a device that is missing or broken.
DeviceReport probe_device();

}  // namespace fastcf
