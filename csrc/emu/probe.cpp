#include "core/probe.h"

namespace fastcf {

DeviceReport probe_device() {
    DeviceReport report;
    report.available = true;
    report.devices.push_back({"emulated", 0, 0, 0, 1});
    return report;
}

}  // namespace fastcf
