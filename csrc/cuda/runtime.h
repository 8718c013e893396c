// The CUDA run-time library's errors as exceptions. Not for kernel files: they know only cuda/kernel.h.
#pragma once

#include <cuda_runtime.h>

#include "core/check.h"

namespace fastcf {

template <class... Parts>
void check_cuda(cudaError_t status, const Parts&... doing) {
    if (status == cudaSuccess) [[likely]]
        return;
    cudaGetLastError();  // an error that is not sticky must not be found again by who asks next
    throw DeviceFailure(
        concat("CUDA failed at ", doing..., ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")"));
}

}  // namespace fastcf
