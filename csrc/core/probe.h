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
    int in_use = 0;                               // which of them this process computes on
    int driver_version = 0, runtime_version = 0;  // as CUDA counts them: 13000 for 13.0; 0: none
};

inline std::string no_such_device(int number, int count) {
    return "there is no GPU " + std::to_string(number) + "; the last is GPU " + std::to_string(count - 1);
}

// Asks the device, which may be slow the first time. Never throws for a device that is missing or broken. A process
// computes on one: what its first call names, by its number, or where that is -1 the one that is current then.
DeviceReport probe_device(int number = -1);

}  // namespace fastcf
