#include <cuda_runtime.h>

#include <exception>

#include "core/probe.h"
#include "cuda/kernel.h"

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

// Tries the device in use, which is the numbered one if no other was before; the caller's stays current.
void try_device(int number, DeviceReport& report) {
    int theirs = 0;
    cudaError_t status = cudaGetDevice(&theirs);
    if (status == cudaSuccess && number >= 0) status = cudaSetDevice(number);
    try {
        if (status == cudaSuccess) {
            const OnDevice on_device;
            cudaGetDevice(&report.in_use);
            report.reason = try_device();
        }
    } catch (const DeviceFailure& error) {
        report.reason = error.what();
    }
    if (status != cudaSuccess) report.reason = std::string("it cannot be chosen: ") + cudaGetErrorString(status);
    cudaSetDevice(theirs);
    cudaGetLastError();
}

}  // namespace

DeviceReport probe_device(int number) {
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
    } else if (number >= count) {
        report.reason = no_such_device(number, count);
    }
    cudaGetLastError();
    for (int d = 0; report.reason.empty() && d < count; ++d) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, d) != cudaSuccess) continue;
        report.devices.push_back({properties.name, properties.major, properties.minor,
                                  static_cast<std::int64_t>(properties.totalGlobalMem),
                                  properties.multiProcessorCount});
    }
    if (report.reason.empty()) try_device(number, report);
    report.available = report.reason.empty();
    return report;
}

}  // namespace fastcf
