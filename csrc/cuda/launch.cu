#include "cuda/kernel.h"
#include "cuda/runtime.h"

namespace fastcf {
namespace {

int current_device() {
    int device = 0;
    check_cuda(cudaGetDevice(&device), "asking for the device");
    return device;
}

int device_in_use() {
    static const int device = current_device();
    return device;
}

}  // namespace

OnDevice::OnDevice() {
    const int current = current_device();
    if (current == device_in_use()) return;
    check_cuda(cudaSetDevice(device_in_use()), "choosing device ", device_in_use());
    theirs_ = current;
}

OnDevice::~OnDevice() {
    if (theirs_ >= 0 && cudaSetDevice(theirs_) != cudaSuccess) cudaGetLastError();
}

void prepare_launch(const void* kernel, const char* name, const Grid& grid, int threads, std::int64_t shared_bytes) {
    constexpr std::int64_t kFreeSharedBytes = 32 << 10;  // static and dynamic together; beyond 48 KB must be asked for
    check(grid.x >= 0 && grid.x <= INT32_MAX && grid.y >= 0 && grid.y <= 65535, name,
          ": a grid must have at most 2^31 - 1 by 65535 blocks; got ", grid.x, " by ", grid.y);
    check(threads >= kWarp && threads <= 1024 && threads % kWarp == 0, name,
          ": a block must have a multiple of 32 threads, at most 1024; got ", threads);
    if (shared_bytes <= kFreeSharedBytes) return;
    // All that there is, whatever this launch wants: the setting is the kernel's, and threads may launch it at once.
    cudaFuncAttributes attributes{};
    check_cuda(cudaFuncGetAttributes(&attributes, kernel), "asking about ", name);
    const std::int64_t most = most_shared_bytes() - static_cast<std::int64_t>(attributes.sharedSizeBytes);
    check(shared_bytes <= most, name, ": shared memory must have at most ", most, " bytes; got ", shared_bytes);
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most)), name,
               ", asking for ", most, " bytes of shared memory");
}

void check_launch(const char* name) {
    check_cuda(cudaGetLastError(), "the launch of ", name);
}

std::int64_t most_shared_bytes() {
    int bytes = 0;
    check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device_in_use()),
               "asking for the size of shared memory");
    return bytes;
}

}  // namespace fastcf
