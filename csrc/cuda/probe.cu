#include <cuda_runtime.h>

#include <exception>

#include "core/probe.h"

namespace fastcf {
namespace {

__global__ void probe_kernel(int* out) {
    *out = 42;
}

// Why this device cannot be used, or an empty text: code for it must be in this build, and run.
std::string try_device() {
    cudaFuncAttributes attributes{};
    cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
    int* place = nullptr;
    int answer = 0;
    if (status == cudaSuccess) status = cudaMallocAsync(&place, sizeof(int), nullptr);  // as memory.cu takes it
    if (status == cudaSuccess) {
        probe_kernel<<<1, 1>>>(place);
        status = cudaGetLastError();
    }
    if (status == cudaSuccess) status = cudaMemcpy(&answer, place, sizeof(int), cudaMemcpyDeviceToHost);
    cudaFreeAsync(place, nullptr);
    cudaGetLastError();
    if (status != cudaSuccess) return std::string("a kernel could not run: ") + cudaGetErrorString(status);
    return answer == 42 ? "" : "a kernel ran and gave a wrong answer";
}

}  // namespace

DeviceReport probe_device() {
    DeviceReport report;
    int count = 0;
    if (cudaDriverGetVersion(&report.driver_version) != cudaSuccess) report.driver_version = 0;
    if (cudaRuntimeGetVersion(&report.runtime_version) != cudaSuccess) report.runtime_version = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (report.driver_version == 0) {
        report.reason = "no NVIDIA driver was found";
    } else if (status != cudaSuccess) {
        report.reason = std::string("the driver reports: ") + cudaGetErrorString(status);
    } else if (count == 0) {
        report.reason = "no NVIDIA GPU was found";
    }
    cudaGetLastError();
    for (int d = 0; report.reason.empty() && d < count; ++d) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, d) != cudaSuccess) continue;
        report.devices.push_back({properties.name, properties.major, properties.minor,
                                  static_cast<std::int64_t>(properties.totalGlobalMem),
                                  properties.multiProcessorCount});
    }
    if (report.reason.empty()) report.reason = try_device();
    report.available = report.reason.empty();
    return report;
}

}  // namespace fastcf
