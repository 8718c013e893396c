#include <iterator>
#include <map>
#include <mutex>

#include "core/memory.h"
#include "cuda/runtime.h"

namespace fastcf {
namespace {

std::mutex allocations_mutex;
std::map<std::uintptr_t, std::int64_t> allocations;  // address -> bytes

// Memory is taken from the device's pool, which keeps what is given back: staging an array costs microseconds.
void keep_pool() {
    static const bool once = [] {
        int device = 0;
        cudaMemPool_t pool = nullptr;
        check_cuda(cudaGetDevice(&device), "asking for the device");
        check_cuda(cudaDeviceGetDefaultMemPool(&pool, device), "asking for the memory pool");
        std::uint64_t most = UINT64_MAX;
        check_cuda(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &most), "setting up the memory pool");
        return true;
    }();
    static_cast<void>(once);
}

}  // namespace

void* device_allocate(std::int64_t bytes) {
    keep_pool();
    void* memory = nullptr;
    const cudaError_t status = cudaMallocAsync(&memory, static_cast<std::size_t>(bytes), nullptr);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        std::size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        throw DeviceFailure(
            concat("the GPU's memory is too small: ", bytes, " bytes are needed, ", free, " of ", total, " are free"));
    }
    check_cuda(status, "allocating ", bytes, " bytes");
    const std::lock_guard<std::mutex> lock(allocations_mutex);
    allocations[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
    return memory;
}

void device_free(void* memory) noexcept {
    if (memory == nullptr) return;
    {
        const std::lock_guard<std::mutex> lock(allocations_mutex);
        allocations.erase(reinterpret_cast<std::uintptr_t>(memory));
    }
    cudaFreeAsync(memory, nullptr);  // an error here belongs to work that came before, and is found by the next check
}

void device_upload(void* to, const void* from_host, std::int64_t bytes) {
    check_cuda(cudaMemcpy(to, from_host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice), "an upload of ",
               bytes, " bytes");
}

void device_download(void* to_host, const void* from, std::int64_t bytes) {
    check_cuda(cudaMemcpy(to_host, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost), "a download of ",
               bytes, " bytes");
}

void device_copy(void* to, const void* from, std::int64_t bytes, int) {
    check_cuda(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice), "a copy of ", bytes,
               " bytes");
}

void device_clear(void* memory, std::int64_t bytes) {
    check_cuda(cudaMemset(memory, 0, static_cast<std::size_t>(bytes)), "clearing ", bytes, " bytes");
}

bool device_only(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const std::lock_guard<std::mutex> lock(allocations_mutex);
    const auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return false;
    const auto& [start, bytes] = *std::prev(after);
    return address - start < static_cast<std::uintptr_t>(bytes);
}

}  // namespace fastcf
