#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "core/probe.h"
#include "cpu/blas.h"

namespace fastcf::bind {

void register_config(pybind11::module_& module) {
    module.def("config", []() -> Record {
        pybind11::dict config;
        config["isa"] = isa_name(active_isa());
        config["best_isa"] = isa_name(best_isa());
        config["threads"] = resolve_threads(0);
        config["gemm"] = gemm_is_own() ? "own" : "blas";
        config["blas_core"] = blas_core;
        config["compiler"] = __VERSION__;
        return config;
    });
    module.def(
        "probe",
        [](int number) -> Record {
            DeviceReport report;
            {
                const ReleasedGil release;
                report = probe_device(number);
            }
            pybind11::list devices;
            for (const DeviceInfo& device : report.devices) {
                pybind11::dict entry;
                entry["name"] = device.name;
                entry["compute_capability"] = pybind11::make_tuple(device.compute_major, device.compute_minor);
                entry["memory_bytes"] = device.memory_bytes;
                entry["multiprocessors"] = device.multiprocessors;
                devices.append(entry);
            }
            pybind11::dict result;
            result["available"] = report.available;
            result["reason"] = report.reason;
            result["devices"] = devices;
            result["in_use"] = report.in_use;
            result["driver_version"] = report.driver_version;
            result["runtime_version"] = report.runtime_version;
            return result;
        },
        pybind11::arg("number") = -1);
}

}  // namespace fastcf::bind
