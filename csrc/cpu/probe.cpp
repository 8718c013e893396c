#include "core/probe.h"

namespace fastcf {

DeviceReport probe_device() {
    DeviceReport report;
    report.available = true;
    return report;
}

}  // namespace fastcf
