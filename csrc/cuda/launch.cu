#include "cuda/kernel.h"
#include "cuda/runtime.h"

namespace fastcf {

void prepare_launch(const void* kernel, const char* name, const Grid& grid, int threads, std::int64_t shared_bytes) {
    constexpr std::int64_t kFreeSharedBytes = 48 << 10;  // more must be asked for
    check(grid.x >= 0 && grid.x <= INT32_MAX && grid.y >= 0 && grid.y <= 65535, name,
          ": a grid must have at most 2^31 - 1 by 65535 blocks; got ", grid.x, " by ", grid.y);
    check(threads >= kWarp && threads <= 1024 && threads % kWarp == 0, name,
          ": a block must have a multiple of 32 threads, at most 1024; got ", threads);
    if (shared_bytes > kFreeSharedBytes)
        check_cuda(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
            name, ", asking for ", shared_bytes, " bytes of shared memory");
}

void check_launch(const char* name) {
    check_cuda(cudaGetLastError(), "the launch of ", name);
}

std::int64_t most_shared_bytes() {
    int device = 0, bytes = 0;
    check_cuda(cudaGetDevice(&device), "asking for the device");
    check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
               "asking for the size of shared memory");
    return bytes;
}

}  // namespace fastcf
